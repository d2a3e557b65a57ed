"""One decoded frame, and the record of frames that cannot be decoded."""

import logging
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 100_000_000
"""Pixels of a frame at most: a small file may promise any number of them."""
FLATTEST = 8
"""How many times as wide as high frames are at most that become larger: 4 lines of 400 pixels would become 96 of 9600."""


class Frame(NamedTuple):
    name: str
    """Name of the frame and of its mask: its number in a file, counting frames left out, or its file name in a folder."""
    time: Fraction
    """Seconds since the first frame."""
    pixels: NDArray[np.uint8]
    """(H, W, C), resized: RGB, or the channels of a volume."""
    native_size: tuple[int, int]
    """(H, W) as the frame is to be shown, before resizing."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel as it is to be shown, for a height of 1."""


@dataclass(frozen=True)
class Facts:
    """What a video says of itself before it is decoded."""

    frame_rate: Fraction
    """Frames per second, the mean where the rate varies."""
    frames: int | None
    """How many; None: only decoding tells."""
    sound: bool = False
    """Whether it has a sound track."""


@dataclass
class Losses:
    """Frames of a video, or of the part of it that is read, that cannot be decoded."""

    path: Path
    on_error: str
    """stop: the first one raises ValueError; skip: they are left out, with a warning."""
    names: list[str] = field(default_factory=list)
    total: int | None = None
    """How many frames the whole video has, these too; None as long as its end was not seen."""

    def __post_init__(self) -> None:
        if self.on_error not in ("stop", "skip"):
            raise ValueError(f"on_error is {self.on_error!r}: choose stop or skip")

    def add(self, name: str) -> None:
        self._stop(f"frame {name} of {self.path} cannot be decoded")
        self.names.append(name)

    def cut(self, problem: str) -> None:
        """Records that the end of the video is missing."""
        self._stop(f"{self.path} is truncated{problem}")
        logging.getLogger(__name__).warning(f"{self.path} is truncated{problem}: going on with what there is")

    def warn(self) -> None:
        if self.names:
            some = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
            logging.getLogger(__name__).warning(f"{self.path}: left out what cannot be decoded, frame {some}")

    def _stop(self, problem: str) -> None:
        if self.on_error == "stop":
            raise ValueError(f"{problem}: get a whole copy, or set data.on_error=skip to use what there is")


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raises ValueError for a frame that is larger than any camera makes."""
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"frames of {path} are {width} x {height} pixels: give frames of at most {MOST_PIXELS // 10**6} million pixels"
        )


def resized(native_size: tuple[int, int], height: int | None) -> tuple[int, int]:
    """Returns (H, W) with the given height and the same aspect ratio; None: the native size.

    Flat frames become no larger than `FLATTEST` such heights are wide.
    """
    if height is None:
        return native_size
    lines, columns = native_size
    height = min(height, max(lines, FLATTEST * height * lines // columns))
    return height, max(1, round(columns * height / lines))
