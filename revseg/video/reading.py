"""How a video is read: which of its frames, where it is decoded, and what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from revseg.video.decoder import check_decoder
from revseg.video.part import Part


@dataclass(frozen=True)
class Reading:
    """How a video is read."""

    axes: str | None = None
    """Order of the axes of a .npy volume: null: THW or THWC; CTHW: channels first. In a folder of .npy files without T."""
    scale: Any = None
    """Which values of a volume become 0 and 255: [low, high], or such a pair for each channel. null: percentiles 0.1 and 99.9
    of each channel, or as in the training; 8-bit values stay as they are."""
    start: str | None = None
    """Where the part of the video that is used begins: a frame, 300, counted from 0; or a time, 12s, 1.5s, 1:30 or 1:02:30 (in
    a YAML file in quotes). null: with the first frame. Frames keep their names and numbers."""
    end: str | None = None
    """The frame or the time before which the part ends; null: with the last frame."""
    every: str | None = None
    """2: only every second frame of the part; 0.5s: one every half second; null: every frame."""
    max_frames: int | None = None
    """Only the first frames of each video, or of its part; null: all."""
    on_error: str = "stop"
    """At a frame that cannot be decoded: stop, or skip it."""
    decoder: str = "process"
    """Where videos are decoded: process (one of its own, with limits, which a hostile file cannot leave) or inline."""

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames <= 0:
            raise ValueError(f"data.max_frames is {self.max_frames}; give a positive number, or null")
        if self.on_error not in ("stop", "skip"):
            raise ValueError(f"data.on_error is {self.on_error}; choose stop or skip")
        check_decoder(self.decoder)
        check_scale(self.scale)
        _ = self.part

    @property
    def reading(self) -> Reading:
        """Returns this alone, where settings add more to it."""
        return Reading(**{each.name: getattr(self, each.name) for each in fields(Reading)})

    @cached_property
    def part(self) -> Part:
        """Which frames are read."""
        return Part.of(self.start, self.end, self.every, most=self.max_frames)

    @property
    def told(self) -> dict[str, str]:
        """What of the part is given, for a record."""
        given = {"start": self.start, "end": self.end, "every": self.every}
        return {name: value for name, value in given.items() if value is not None}


def check_scale(scale: Any) -> None:
    """Raises ValueError where a scale is not [low, high], nor a list of such pairs."""
    if scale is None:
        return
    pairs = scale if isinstance(scale, (list, tuple)) and scale and isinstance(scale[0], (list, tuple)) else [scale]
    for pair in pairs:
        numbers = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(part, (int, float)) for part in pair)
        if not (numbers and -float("inf") < pair[0] < pair[1] < float("inf")):
            raise ValueError(f"data.scale has {pair}: give [low, high] with low < high, or such a pair for each channel")


WHOLE = Reading()
"""A video is read from its first frame to its last."""
