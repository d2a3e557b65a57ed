"""What is behind a pixel, seen in other frames, and how a pixel differs from it.

    B_t(x) = median over n of I_n(H_tn x),     n = t +- AT, where frame n shows ground at H_tn x

H_tn: the camera's motion from frame to frame (``camera``), composed. What moves before a scene of little depth differs from B; a
shadow on it differs in lightness, not in colour; ground that has come free does not differ, however it flows. What that means of
the classes is for who sees it to learn (``Looks``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import product

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.camera import LEAST_POINTS, Displaced, Ground, Homography
from revseg.evidence.config import MotionConfig
from revseg.evidence.descriptors import Colours, Picture, colours_of, side_by_side
from revseg.evidence.flow import Flow
from revseg.evidence.native import background as native
from revseg.evidence.native.library import compiled

AT = (4, 8, 12, 17, 23, 30, 38)
"""How many frames before and after show what is behind a frame's objects."""
MARGIN = 4
"""Pixels around objects that do not count as ground."""
FINE, WIDE = 1.5, 4.0
"""Standard deviations of the surroundings in which differences are seen, in pixels."""
DIFFERENCES = 7
"""How many numbers say how a pixel differs."""
PICTURES = 2 * AT[-1] + 2
"""Frames that show what is behind one, and a little more."""


@dataclass(frozen=True, eq=False)
class Scene:
    """How the camera moves before the ground of a video, and where that is seen."""

    cameras: Sequence[Homography]
    """From each frame to the next, in pixels of ``size``."""
    size: tuple[int, int]
    """(W, H)."""
    ground: Ground

    @classmethod
    def of(cls, flow: Flow, ground: Ground, config: MotionConfig) -> Scene:
        """Returns that of a video, the camera told from the ground."""
        cameras = [_camera(flow, frame, config=config, ground=ground) for frame in range(flow.frames - 1)]
        return cls(cameras, flow.size, ground)

    def cameras_at(self, size: tuple[int, int]) -> list[Homography]:
        """Returns the cameras in pixels of another size, (h, w)."""
        scale = np.diag([size[1] / self.size[0], size[0] / self.size[1], 1])
        return [scale @ camera @ np.linalg.inv(scale) for camera in self.cameras]


class Background:
    """What is behind the pixels of a video's pictures, all of a size (h, w)."""

    def __init__(self, pictures: Callable[[int], Picture], size: tuple[int, int], scene: Scene) -> None:
        self._picture, self._size = pictures, size
        self._cameras = scene.cameras_at(size)
        self._free = lru_cache(PICTURES)(partial(_free_of, scene.ground, size))  # each is asked for by many frames

    def differences(self, frame: int, colours: Colours | None = None, *, into: Tensor | None = None) -> Tensor:
        """Returns how the pixels of a frame differ from what is behind them, (h, w, DIFFERENCES) float32.

        By colour, by lightness, and its amount (CIE Lab), in finer surroundings and, after whether that is known at all, in wider
        ones. Where it is not, the former are 0. colours: its own, if they are at hand; into: where all that is put.
        """
        behind, known = self.behind(frame)
        before = colours_of(self._picture(frame)) if colours is None else colours
        if into is None:
            into = torch.empty(*self._size, DIFFERENCES)
        if compiled():
            native.differences(before, colours_of(behind), known, rows=into, scales=(FINE, WIDE))
            return into
        colour, lightness = _least_difference(before, colours_of(behind))
        found = np.stack([colour, lightness, np.abs(lightness)], 2) * known[..., None]
        wide = cv2.GaussianBlur(found, (0, 0), WIDE).reshape(found.shape)
        side_by_side([found, known[..., None].astype(np.float32), wide], into=into)
        return into

    def behind(self, frame: int) -> tuple[Picture, NDArray[np.bool_]]:
        """Returns what is behind the pixels of a frame, (h, w, 3), and where that is known; what is before it, else."""
        picture = self._picture(frame)
        lines, columns = self._size
        flags, others = cv2.WARP_INVERSE_MAP, list(self._others(frame))
        shown, free = np.empty((len(others), lines, columns, 3), np.uint8), np.empty((len(others), lines, columns), np.uint8)
        for (other, way), seen, ground in zip(others, shown, free, strict=True):
            cv2.warpPerspective(self._picture(other), way, (columns, lines), seen, flags=flags | cv2.INTER_LINEAR)
            cv2.warpPerspective(self._free(other), way, (columns, lines), ground, flags=flags | cv2.INTER_NEAREST)
        if compiled():
            return native.median(shown, free, _comparisons(len(others)), before=picture)
        return _median(shown, free, picture)

    def _others(self, frame: int) -> Iterator[tuple[int, Homography]]:
        """Frames before and after, and the way to them."""
        for sign in (1, -1):
            way, last = np.eye(3), frame
            for distance in AT:
                if not 0 <= (other := frame + sign * distance) <= len(self._cameras):
                    break
                for at in range(last, other, sign):
                    way = (self._cameras[at] if sign > 0 else np.linalg.inv(self._cameras[at - 1])) @ way
                last = other
                yield other, way


def _camera(flow: Flow, frame: int, *, config: MotionConfig, ground: Ground) -> Homography:
    """From a frame to the next, told from the ground, in pixels of the flow."""
    displaced = Displaced.on_grid(flow, flow.position(frame, frame + 1), config.spacing)
    on_ground = displaced.on(ground(frame), flow.size)
    return (on_ground if len(on_ground.here) >= LEAST_POINTS else displaced).camera(config.tolerance)


def _free_of(ground: Ground, size: tuple[int, int], frame: int) -> NDArray[np.uint8]:
    """Ground of a frame of a size (h, w) that is not close to an object, 1 or 0."""
    found = ground(frame)
    if found.shape != size:
        found = cv2.resize(found, size[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.erode(found, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1)))


def _median(shown: NDArray[np.uint8], free: NDArray[np.uint8], before: Picture) -> tuple[Picture, NDArray[np.bool_]]:
    """Returns the median (h, w, 3) of what frames show, (n, h, w, 3), where they are free, (n, h, w), 1 or 0, and where that is
    known; `before` elsewhere."""
    count = free.sum(0, dtype=np.uint8)
    known = count > 0
    if not known.any():
        return before, known
    shown |= (free - np.uint8(1))[..., None]  # 255, white, where it is no ground: these come last
    middle = (count.astype(np.intp) - 1).clip(min=0) // 2
    found = np.take_along_axis(_in_order(shown), middle[None, ..., None], 0)[0]
    return np.where(known[..., None], found, before), known


def _least_difference(lab: Colours, other: Colours) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """By colour, 0 or more, and lightness, (h, w) each; the least, where what is behind is shifted by a pixel at most."""
    around = cv2.copyMakeBorder(other, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    lines, columns = lab.shape[:2]
    least, best = np.full((lines, columns), np.inf, np.float32), lab.copy()
    for down, right in product(range(3), repeat=2):
        difference = cv2.subtract(lab, around[down : down + lines, right : right + columns])
        amount = cv2.GaussianBlur(cv2.transform(cv2.multiply(difference, difference), np.ones((1, 3))), (0, 0), FINE)
        cv2.copyTo(difference, cv2.compare(amount, least, cv2.CMP_LT), best)
        cv2.min(amount, least, dst=least)
    lightness, green, blue = cv2.split(cv2.GaussianBlur(best, (0, 0), FINE))
    return cv2.magnitude(green, blue), lightness


def _in_order(values: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Sorts arrays, element by element: whole arrays at a time, which is fast in 8 bits."""
    ordered = list(values)
    for one, other in _comparisons(len(ordered)):
        lower, upper = ordered[one], ordered[other]
        ordered[one], ordered[other] = np.minimum(lower, upper), np.maximum(lower, upper)
    return np.stack(ordered)


@cache
def _comparisons(count: int) -> list[tuple[int, int]]:
    """Which of so many values are compared, in order, to sort them: Batcher's merge exchange (Knuth, "The art of computer
    programming", volume 3, 5.2.2, algorithm M)."""
    found, most = [], 1 << max(0, (count - 1).bit_length() - 1)
    step = most
    while step:
        apart, rest, distance = most, 0, step
        while True:
            found += [(low, low + distance) for low in range(count - distance) if low & step == rest]
            if apart == step:
                break
            distance, apart, rest = apart - step, apart >> 1, step
        step >>= 1
    return found
