"""Fields on the CPU, compiled: a vector of pixels is looked up, weighed and summed before the next one."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from revseg.evidence.fields import WHOLE, Link, Pair, Part
from revseg.evidence.native.dis import dense_flow
from revseg.evidence.native.library import called
from revseg.evidence.opencv import Array, Image, OpenCVFields

VERSION = 1
"""Version of what is compiled."""

PRESETS = {"ultrafast": (4, 12), "fast": (4, 16), "medium": (3, 25)}
"""OpenCV's: pixels between patches, and steps that each takes at most."""

Way = NDArray[np.int16] | Array
"""Displacements or positions, (2, H, W)."""


class CompiledFields(OpenCVFields):
    """``Fields`` of a video of at least 2 x 2 pixels. A way is a displacement as long as it is one."""

    made_by = f"{OpenCVFields.made_by}, compiled {VERSION}"

    def _flow(self, first: Image, second: Image, finest_scale: int) -> Array:
        if self.config.refinement:  # OpenCV's alone
            return super()._flow(first, second, finest_scale)
        stride, iterations = PRESETS[self.config.preset]
        return dense_flow(first, second, finest=finest_scale, stride=stride, iterations=iterations)

    def way(self, displacement: NDArray[np.int16]) -> NDArray[np.int16]:
        return displacement

    def composed(self, first: Way, second: Way) -> Array:
        found = np.empty(first.shape, np.float32)
        ways = (part for way in (first, second) for part in _way(way))
        called("follow", *ways, found, *first.shape[1:])
        return found

    def look_up(self, planes: Array, way: Way, sharp: NDArray[np.intp] | None = None) -> Array:
        return self.gathered(None, [Link(planes, way, None)], sharp)

    def gathered(self, own: Array | None, around: Sequence[Link], sharp: NDArray[np.intp] | None = None) -> Array:
        links = [Link(*map(_packed, link)) for link in around]  # held until they are read
        classes = len(links[0].planes)
        total = np.empty((classes, *links[0].way.shape[1:]), np.float32)
        planes, shares = (_addresses(parts) for parts in ([link.planes for link in links], [link.share for link in links]))
        ways, displaced = zip(*(_way(link.way) for link in links), strict=True)
        flags = (ctypes.c_long * len(links))(*displaced)
        places = (None, 0) if sharp is None else (sharp, len(sharp))
        sums = total, _packed(own), classes, len(links)
        called("gather", *sums, planes, _addresses(ways), flags, shares, *places, *total.shape[1:])
        return total

    def agreement(self, pair: Pair, to: Way, fro: Way, part: Part = WHOLE) -> Array:
        frame, other = pair
        height, width = to.shape[1:]
        rows, columns = (range(side)[one] for side, one in zip((height, width), part, strict=True))
        found = np.empty((len(rows), len(columns)), np.float32)
        place = np.array([rows.start, columns.start, len(rows), len(columns)], np.int_)
        colours = self._colours(frame), self._colours(other)
        fading = self.config.reach / self.factor, 3 * self.config.contrast, self.config.least
        called("agreement", found, *_way(to), *_way(fro), *colours, place, height, width, *map(float, fading))
        return found


def _way(way: Way) -> tuple[Way, int]:
    """A way as C takes it: its planes, and whether they are displacements."""
    return cast(Way, np.ascontiguousarray(way)), int(way.dtype == np.int16)


def _packed(values: Array | None) -> Array | None:
    return None if values is None else np.ascontiguousarray(values)


def _addresses(arrays: Sequence[Way | None]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(None if one is None else one.ctypes.data for one in arrays))
