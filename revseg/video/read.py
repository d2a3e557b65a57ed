"""Reads a video, a file or a folder of frames, as one volume or frame after frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.runs.phases import phase
from revseg.video.file import decode_file, frame_rate, open_file, video_stream
from revseg.video.folder import FRAME_RATE, decode_folder, image_files
from revseg.video.frame import Frame, Losses
from revseg.video.stack import decode_stack, frame_rate_of, is_stack

CHUNK = 1 << 26  # bytes of frames that are gathered before they go into one tensor


@dataclass(frozen=True)
class Video:
    """A video in memory."""

    volume: Tensor
    """(3, T, H, W) uint8, RGB."""
    frame_rate: Fraction
    """Frames per second, the mean where the rate varies."""
    native_size: tuple[int, int]
    """(H, W) as the video is shown, before resizing."""
    timestamps: tuple[Fraction, ...]
    """Seconds since the first frame for each of the T frames, increasing."""
    names: tuple[str, ...]
    """Names of the T frames and of their masks: the file's name in a folder, else the number: "00012"."""
    lost: tuple[str, ...] = ()
    """Names of the frames that were left out because they could not be decoded."""


@dataclass(frozen=True)
class Probe:
    """Size and frame rate of a video, without reading all of it."""

    native_size: tuple[int, int]
    frame_rate: Fraction


def read_video(
    path: str | Path,
    *,
    height: int | None = None,
    max_frames: int | None = None,
    on_error: str = "stop",
    threads: int | None = None,
    show: bool = False,
) -> Video:
    """Reads a video file, or a folder of JPEG or PNG frames, as one volume.

    height: height of the volume, None: the video's own; the width follows. Frames are resized, by averaging, as they
    are decoded: only a few are ever in memory at their own size. max_frames: only the first ones, None: all.
    on_error: at a frame that cannot be decoded, "stop" raises ValueError and "skip" leaves it out.
    threads: for decoding, None: one per core. show: whether it is a phase of its own, with a bar.
    """
    for name, value in (("height", height), ("max_frames", max_frames)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: give 1 or more, or none for all there is")
    path, pile = Path(path), _Pile()
    losses = Losses(path, on_error)
    names, times, native_size = [], [], (0, 0)
    with phase("decoding", total=_count(path, max_frames)) if show else nullcontext() as bar:
        for frame in islice(_frames(path, height=height, losses=losses, threads=threads), max_frames):
            pile.add(frame.pixels)
            names.append(frame.name)
            times.append(frame.time)
            native_size = frame.native_size
            if bar is not None:
                bar.advance()
    if not names:
        raise ValueError(f"no frame of {path} can be decoded: give a video with at least one frame")
    return Video(
        pile.volume(),
        frame_rate=_frame_rate(path),
        native_size=native_size,
        timestamps=tuple(times),
        names=tuple(names),
        lost=tuple(losses.names),
    )


def iterate_frames(
    path: str | Path, *, on_error: str = "stop", threads: int | None = None
) -> Iterator[tuple[int, Fraction, NDArray[np.uint8]]]:
    """Yields (index, seconds since the first, RGB pixels (H, W, 3) at native size) of each frame."""
    for index, frame in enumerate(_frames(Path(path), height=None, losses=Losses(Path(path), on_error), threads=threads)):
        yield index, frame.time, frame.pixels


def probe(path: str | Path) -> Probe:
    """Returns size and frame rate, from the first frame that can be decoded."""
    path = Path(path)
    for frame in _frames(path, height=None, losses=Losses(path, "skip"), threads=None):
        return Probe(frame.native_size, _frame_rate(path))
    raise ValueError(f"no frame of {path} can be decoded: give a video with at least one frame")


def _frames(path: Path, height: int | None, losses: Losses, threads: int | None) -> Iterator[Frame]:
    try:
        decode = decode_folder if path.is_dir() else decode_stack if is_stack(path) else decode_file
        yield from decode(path, height=height, losses=losses, threads=threads)
    finally:
        losses.warn()


def _count(path: Path, most: int | None) -> int | None:
    """How many frames there will be, as far as that is known before they are decoded."""
    if path.is_dir():
        count = len(image_files(path))
    elif is_stack(path):
        return most
    else:
        with open_file(path) as container:
            count = video_stream(container, path).frames
    return min(count, most or count) or None


def _frame_rate(path: Path) -> Fraction:
    if path.is_dir():
        return FRAME_RATE
    if is_stack(path):
        return frame_rate_of(path)
    with open_file(path) as container:
        return frame_rate(video_stream(container, path))


class _Pile:
    """Collects frames into one volume, without a second copy of all of them."""

    def __init__(self) -> None:
        self.chunks: list[Tensor] = []
        self.loose: list[NDArray[np.uint8]] = []

    def add(self, pixels: NDArray[np.uint8]) -> None:
        self.loose.append(pixels)
        if len(self.loose) * pixels.size >= CHUNK:
            self._gather()

    def _gather(self) -> None:
        self.chunks.append(torch.from_numpy(np.stack(self.loose)))
        self.loose.clear()

    def volume(self) -> Tensor:
        """Returns (3, T, H, W). A chunk is freed once it is copied, and memory that is not written yet takes no space."""
        if self.loose:
            self._gather()
        frames = sum(map(len, self.chunks))
        volume = torch.empty(3, frames, *self.chunks[0].shape[1:3], dtype=torch.uint8)
        self.chunks.reverse()
        start = 0
        while self.chunks:
            chunk = self.chunks.pop()
            volume[:, start : start + len(chunk)] = chunk.permute(3, 0, 1, 2)
            start += len(chunk)
        return volume
