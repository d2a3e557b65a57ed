"""One decoded frame, and the record of frames that cannot be decoded."""

import logging
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Frame(NamedTuple):
    name: str
    """Name of the frame and of its mask: its number in a file, counting frames left out, or its file name in a folder."""
    time: Fraction
    """Seconds since the first frame."""
    pixels: NDArray[np.uint8]
    """(H, W, C), resized: RGB, or the channels of a volume."""
    native_size: tuple[int, int]
    """(H, W) as the frame is to be shown, before resizing."""


@dataclass
class Losses:
    """Frames of a video that cannot be decoded."""

    path: Path
    on_error: str
    """stop: the first one raises ValueError; skip: they are left out, with a warning."""
    names: list[str] = field(default_factory=list)

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
            raise ValueError(f"{problem}: get a whole copy, or set on_error=skip to use what there is")


FLATTEST = 8
"""How many times as wide as high frames are at most that become larger: 4 lines of 400 pixels would become 96 of 9600."""


def resized(native_size: tuple[int, int], height: int | None) -> tuple[int, int]:
    """Returns (H, W) with the given height and the same aspect ratio; None: the native size.

    Flat frames become no larger than `FLATTEST` such heights are wide.
    """
    if height is None:
        return native_size
    lines, columns = native_size
    height = min(height, max(lines, FLATTEST * height * lines // columns))
    return height, max(1, round(columns * height / lines))
