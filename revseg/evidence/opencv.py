"""Fields on the CPU: look-ups and optical flow of OpenCV, which lets go of Python's lock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.config import FlowConfig
from revseg.evidence.fields import DISTINCT, LARGEST, SUBPIXEL, THIN, WHOLE, Link, Pair, Part, gathered
from revseg.video.picture import picture_of

LINE = 1024
"""Pixels in a line of those that are looked up by themselves: OpenCV takes fewer than 32767."""

PATCH = 8
"""Side of the patches of DIS: where a scale has fewer lines, OpenCV stops with an error, or chooses a finer one."""

COLOURS = 8
"""Frames whose blurred colours are held: each is compared with several around it."""

Array = NDArray[np.float32]
Image = NDArray[np.uint8]


class OpenCVFields:
    """``Fields`` of a video (C, T, H, W) uint8 on the CPU, whose frames are enlarged by a factor for the flow."""

    batch = 1
    made_by = cv2.__version__

    def __init__(self, volume: Tensor, config: FlowConfig, *, factor: int) -> None:
        self.size = volume.shape[3], volume.shape[2]
        self.config, self.factor = config, factor
        self._volume, self._local = volume, threading.local()
        self._colours = lru_cache(COLOURS)(self._colours_of)

    @cached_property
    def identity(self) -> Array:
        width, height = self.size
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        return np.stack([columns, rows])

    def find(self, pairs: Sequence[Pair], finest_scale: int) -> list[NDArray[np.int16]]:
        return [self._find(*pair, finest_scale=finest_scale) for pair in pairs]

    def _find(self, frame: int, other: int, *, finest_scale: int) -> NDArray[np.int16]:
        flow = self._flow(self._grey(frame), self._grey(other), finest_scale)
        if self.factor > 1:
            flow = cv2.resize(flow, self.size, interpolation=cv2.INTER_AREA)
        flow *= SUBPIXEL / self.factor
        return _rounded(np.stack(cv2.split(flow)))

    def _flow(self, first: Image, second: Image, finest_scale: int) -> Array:
        """(H, W, 2) in pixels of the enlarged frames."""
        dis = self._dis()
        dis.setFinestScale(finest_scale if min(first.shape) >> finest_scale >= PATCH else 0)
        flow: Array = dis.calc(first, second, None)
        return flow

    def _dis(self) -> cv2.DISOpticalFlow:
        """One for each thread: it has buffers of its own."""
        if not hasattr(self._local, "dis"):
            preset = getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{self.config.preset.upper()}")
            self._local.dis = cv2.DISOpticalFlow.create(preset)
            self._local.dis.setVariationalRefinementIterations(self.config.refinement)
        return self._local.dis

    def moved(self, displacement: NDArray[np.int16]) -> Array:
        position: Array = np.multiply(displacement, np.float32(1 / SUBPIXEL))
        position += self.identity
        return position

    def displacement(self, position: Array) -> NDArray[np.int16]:
        return _rounded((position - self.identity) * np.float32(SUBPIXEL))

    def way(self, displacement: NDArray[np.int16]) -> Any:
        return self.moved(displacement)

    def composed(self, first: Any, second: Any) -> Array:
        return self.look_up(second, first)

    def look_up(self, planes: Array, way: Any, sharp: NDArray[np.intp] | None = None) -> Array:
        """Plane by plane: OpenCV takes longer for two channels at once, on a grid of 1/32 of a pixel."""
        x, y = way
        found = np.empty((len(planes), *x.shape), np.float32)
        for plane, place in zip(planes, found, strict=True):
            cv2.remap(plane, x, y, cv2.INTER_LINEAR, dst=place, borderMode=cv2.BORDER_REPLICATE)
        if sharp is not None:
            lines = np.resize(sharp, (-(-len(sharp) // LINE), LINE))  # the last line is filled with pixels again
            x, y = x.ravel()[lines], y.ravel()[lines]
            for plane, place in zip(planes, found, strict=True):
                cubic = cv2.remap(plane, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
                place.ravel()[lines] = cubic.clip(0, 1)
        return found

    def gathered(self, own: Array | None, around: Sequence[Link], sharp: NDArray[np.intp] | None = None) -> Array:
        return gathered(self, own, around, sharp=sharp)

    def thin(self, probabilities: Array) -> NDArray[np.intp] | None:
        square = np.ones((THIN, THIN), np.uint8)
        found = np.zeros(probabilities.shape[1:], np.uint8)
        for plane in probabilities:
            found |= plane - cv2.morphologyEx(plane, cv2.MORPH_OPEN, square) > DISTINCT
        places = np.flatnonzero(cv2.dilate(found, np.ones((3, 3), np.uint8)))
        return places if len(places) else None

    def agreement(self, pair: Pair, to: Any, fro: Any, part: Part = WHOLE) -> Array:
        frame, other = pair
        x, y = to[:, *part]
        error = self.length(self.look_up(fro, (x, y)) - self.identity[:, *part])
        colours = cv2.remap(self._colours(other), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        red, green, blue, _ = cv2.split(cv2.absdiff(colours, self._colours(frame)[part]))
        difference = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_16U)
        weights = -self.factor / self.config.reach, -1 / (3 * self.config.contrast)
        exponent = cv2.addWeighted(error, weights[0], difference, weights[1], 0, dtype=cv2.CV_32F)
        return np.maximum(cv2.exp(exponent), np.float32(self.config.least))

    def extent(self, field: Array) -> Part:
        rows, columns = (np.flatnonzero(field.any(axis)) for axis in (1, 0))
        if not len(rows):
            return slice(1), slice(1)
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def length(self, planes: Array) -> Array:
        return length(*planes)

    def quantile(self, field: Array, share: float) -> float:
        return float(np.quantile(field, share))

    def from_bytes(self, values: Tensor) -> Array:
        return values.numpy().astype(np.float32) / np.float32(255)

    def to_bytes(self, field: Array) -> Tensor:
        return torch.from_numpy((255 * field).round().astype(np.uint8))

    def field(self, tensor: Tensor) -> Array:
        return tensor.cpu().float().numpy()

    def tensor(self, field: Array) -> Tensor:
        return torch.from_numpy(field)

    def table(self, values: Array, field: Tensor) -> Array:
        return np.stack([cv2.LUT(np.ascontiguousarray(field), row).reshape(field.shape) for row in values])

    def joined(self, planes: Sequence[Array]) -> Array:
        return np.concatenate(planes)

    def half(self, field: Array) -> NDArray[np.float16]:
        return field.astype(np.float16)

    def single(self, field: NDArray[np.floating]) -> Array:
        return field.astype(np.float32, copy=False)

    def array(self, field: Array) -> Array:
        return field

    def _grey(self, frame: int) -> Image:
        grey = cv2.cvtColor(self._picture(frame), cv2.COLOR_RGB2GRAY)
        if self.factor == 1:
            return grey
        return cv2.resize(grey, None, fx=self.factor, fy=self.factor, interpolation=cv2.INTER_CUBIC)

    def _colours_of(self, frame: int) -> Image:
        """Blurred: noise is no difference. Four channels, which are looked up in half the time of three."""
        side = self.config.blur
        return cv2.GaussianBlur(cv2.cvtColor(self._picture(frame), cv2.COLOR_RGB2RGBA), (side, side), 0)

    def _picture(self, frame: int) -> Image:
        """Made anew each time, in no time: a second copy of the video would lie in memory."""
        return picture_of(list(self._volume[:, frame].numpy()))


def length(across: Array, down: Array) -> Array:
    """Returns the lengths of vectors. OpenCV's magnitude rounds otherwise where an array lies elsewhere in memory: the same video
    would not have the same evidence twice."""
    found: Array = across * across
    found += down * down
    return np.sqrt(found, out=found)


def _rounded(scaled: Array) -> NDArray[np.int16]:
    return scaled.round(out=scaled).clip(-LARGEST - 1, LARGEST, out=scaled).astype(np.int16)
