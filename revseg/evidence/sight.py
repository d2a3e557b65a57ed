"""What is seen of a video's pixels at so many lines: of a frame, or of some of its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.background import DIFFERENCES, Background, Scene
from revseg.evidence.descriptors import FARTHEST, NUMBERS, REACH, Picture, Pixels, colours_of, descriptors, picture_at, size_at
from revseg.evidence.fields import Part
from revseg.evidence.native.library import compiled

STRIP = 96
"""Lines of a frame that are seen at a time, where some of its pixels are asked for."""
NEAR = 20
"""Pixels from a contour within which a pixel is near it."""


class Sight:
    """volume: (C, T, H, W) uint8, seen at `height` lines at most. scene: where what is behind a pixel is seen; None: it is not.
    held: pictures that are held, not made again."""

    def __init__(self, volume: Tensor, height: int, *, scene: Scene | None = None, held: int = 0) -> None:
        self.volume, self.height, self.size = volume, height, size_at(volume.shape[2:], height)
        # Of the volume alone: what knew this object too would hold its pictures until Python looks for circles.
        self._picture = lru_cache(held)(partial(_picture_of, volume, height))
        self._background = None if scene is None else Background(self._picture, self.size, scene)

    @property
    def numbers(self) -> int:
        """How many numbers are seen of a pixel, N."""
        return NUMBERS + (0 if self._background is None else DIFFERENCES)

    def seen(self, frame: int) -> Tensor:
        """Returns what is seen of a frame, (h, w, N): descriptors and, in a scene, how it differs from what is behind."""
        rows, picture = torch.empty(*self.size, self.numbers), self._picture(frame)
        colours = colours_of(picture)
        descriptors(picture, colours=colours, into=rows[..., :NUMBERS])
        if self._background is not None:
            self._background.differences(frame, colours, into=rows[..., NUMBERS:])
        return rows

    def some(self, frame: int, pixels: Pixels, *, into: Tensor | None = None) -> Tensor:
        """Returns the descriptors of some pixels, (n, NUMBERS), in the order of rows. Far from them nothing is looked at.

        into: where they are put; these rows may be parts of longer ones.
        """
        picture, found = self._picture(frame), torch.empty(int(pixels.sum()), NUMBERS) if into is None else into
        if compiled():
            if len(found):
                lines, columns = (_around(np.flatnonzero(pixels.any(axis))) for axis in (1, 0))
                chosen = np.ascontiguousarray(pixels[lines, columns])
                descriptors(np.ascontiguousarray(picture[lines, columns]), chosen, into=found)
            return found
        number = pixels.cumsum().reshape(pixels.shape) - 1
        for part, inner in _parts(pixels):
            found[torch.from_numpy(number[part][inner])] = descriptors(np.ascontiguousarray(picture[part]), inner)
        return found


def _picture_of(volume: Tensor, height: int, frame: int) -> Picture:
    return picture_at(volume[:, frame], height)


def near_contours(classes: NDArray[np.uint8]) -> Pixels:
    """Returns the pixels (h, w) within ``NEAR`` of which the class changes."""
    square = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
    near: Pixels = cv2.dilate(classes, square) != cv2.erode(classes, square)
    return near


def _around(places: NDArray[np.intp]) -> slice:
    """Returns the places from the first to the last of some, and as many around them as are seen of them."""
    return slice(max(0, places[0] - FARTHEST), places[-1] + 1 + FARTHEST)


def _parts(pixels: Pixels) -> Iterator[tuple[Part, Pixels]]:
    """Yields the parts of a frame that the pixels lie in, with their surroundings, and which of each are among them."""
    for top in range(0, len(pixels), STRIP):
        columns = np.flatnonzero(pixels[top : top + STRIP].any(0))
        first = max(0, top - REACH)
        own = slice(top - first, top - first + STRIP)
        for run in np.split(columns, np.flatnonzero(np.diff(columns) > 2 * REACH) + 1) if len(columns) else ():
            part = slice(first, top + STRIP + REACH), slice(max(0, run[0] - REACH), run[-1] + 1 + REACH)
            inner = np.zeros_like(pixels[part])
            inner[own] = pixels[part][own]
            yield part, inner
