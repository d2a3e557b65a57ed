"""What a file of an annotation tool says: on some frames, shapes of objects that have names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Points = NDArray[np.float64]
"""(n, 2): x to the right, y down, from the corner of the picture; the middle of its first pixel is (0.5, 0.5)."""
Raster = NDArray[np.bool_]


class Figure(Protocol):
    """Where a shape lies."""

    @property
    def whole(self) -> bool:
        """Whether all of the object is in it. Of a stroke or a point it is not: what is beside it is unknown."""

    def pixels(self, size: Size, stroke_width: int) -> Raster:
        """Returns (H, W): the pixels of it in a picture of a size."""


@dataclass(frozen=True)
class Shape:
    """A part of an object on one frame."""

    label: str
    """Name of its class."""
    figure: Figure
    instance: str | int | None = None
    """What it has in common with the same object on other frames; None: the tool does not follow objects."""


@dataclass(frozen=True)
class Drawing:
    """A frame as a tool labels it."""

    name: str
    """File of the frame, or its number in the video."""
    shapes: tuple[Shape, ...]
    """From the lowest to the topmost. None at all: the tool says that the frame shows no object."""
    size: Size | None = None
    """(H, W) that the tool has seen; None: it does not say."""


@dataclass(frozen=True)
class Document:
    """All that a file or a folder of a tool says."""

    title: str
    """Format, as people call it."""
    drawings: tuple[Drawing, ...]
    """Labelled frames only."""
    classes: tuple[str, ...] = ()
    """Names of classes in the tool's order; none: it does not say."""
    smaller_on_top: bool = False
    """Whether the smaller of two shapes covers the larger, in place of the order of shapes."""
    remarks: tuple[str, ...] = ()
    """What was left out, and why."""
