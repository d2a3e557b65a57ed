"""Polygons, strokes, points and run lengths as pixels.

A pixel belongs to a polygon if its middle lies within, by the even-odd rule: a polygon along the edges of pixels gives just
these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from revseg.labels.formats.document import Points, Raster, Size

SUBPIXELS = 4
"""Bits after the point with which strokes are drawn."""
FARTHEST = 1 << 15
"""Where strokes are cut off: OpenCV counts in 32 bits."""
ROUND = 64
"""Corners of a circle."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """Areas between outlines; of an area within an area, one is a hole."""

    outlines: tuple[Points, ...]
    union: bool = False
    """Whether areas that overlap are one, in place of holes."""
    whole: bool = True

    def pixels(self, size: Size, stroke_width: int) -> Raster:
        """Returns the pixels whose middles lie within."""
        if not self.union:
            return _within(self.outlines, size)
        found = np.zeros(size, bool)
        for outline in self.outlines:
            found |= _within((outline,), size)
        return found


@dataclass(frozen=True, eq=False)
class Strokes:
    """Lines and points."""

    lines: tuple[Points, ...]
    whole: bool = False

    def pixels(self, size: Size, stroke_width: int) -> Raster:
        """Returns what a round brush of a width in pixels covers along the lines."""
        canvas = np.zeros(size, np.uint8)
        for line in self.lines:
            at = np.rint((np.clip(line, -FARTHEST, FARTHEST) - 0.5) * 2**SUBPIXELS).astype(np.int32)
            if len(at) == 1:
                _dab(canvas, line[0], stroke_width)
            else:
                cv2.polylines(canvas, [at.reshape(-1, 1, 2)], False, 1, stroke_width, shift=SUBPIXELS)
        return canvas.astype(bool)


@dataclass(frozen=True, eq=False)
class Patch:
    """A picture of an object, placed in that of the frame."""

    raster: Raster
    left: int = 0
    top: int = 0
    whole: bool = True

    def pixels(self, size: Size, stroke_width: int) -> Raster:
        """Returns the part of it that lies in the frame."""
        found = np.zeros(size, bool)
        bottom, right = self.top + self.raster.shape[0], self.left + self.raster.shape[1]
        rows, columns = slice(max(0, self.top), min(size[0], bottom)), slice(max(0, self.left), min(size[1], right))
        if rows.start < rows.stop and columns.start < columns.stop:
            found[rows, columns] = self.raster[
                rows.start - self.top : rows.stop - self.top, columns.start - self.left : columns.stop - self.left
            ]
        return found


def box(left: float, top: float, right: float, bottom: float, degrees: float = 0) -> Polygons:
    """Returns a rectangle, turned clockwise about its middle."""
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    return Polygons((turned(corners, degrees),))


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0) -> Polygons:
    """Returns an ellipse by its middle and its half axes, turned clockwise."""
    angles = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    return Polygons((turned(np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], 1), degrees),))


def turned(points: Points, degrees: float) -> Points:
    """Returns points turned clockwise about their middle."""
    if not degrees:
        return points
    cosine, sine, middle = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), points.mean(0)
    return (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle


def _within(outlines: Sequence[Points], size: Size) -> Raster:
    """Counts, from the left, the outlines before the middle of each pixel: an odd number is within."""
    height, width = size
    crossed = np.zeros((height, width + 1), np.int32)
    for outline in outlines:
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            low, high = min(y0, y1), max(y0, y1)
            first, last = max(0, math.ceil(low - 0.5)), min(height, math.ceil(high - 0.5))  # rows whose middle it crosses
            rows = np.arange(first, last)
            x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(x - 0.5), 0, width).astype(np.intp)
            crossed[rows, columns] += 1  # an edge crosses each row once
    return np.cumsum(crossed[:, :-1], axis=1) % 2 == 1


def _dab(canvas: np.ndarray, point: Points, width: int) -> None:
    rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    near = (columns + 0.5 - point[0]) ** 2 + (rows + 0.5 - point[1]) ** 2 <= (width / 2) ** 2
    canvas[near] = 1
    column, row = (int(np.floor(value)) for value in point)
    if 0 <= row < canvas.shape[0] and 0 <= column < canvas.shape[1]:
        canvas[row, column] = 1
