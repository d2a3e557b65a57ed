"""What is behind a pixel, seen in other frames, and how a pixel differs from it.

    B_t(x) = median over n of I_n(H_tn x),     n = t +- AT, where frame n shows ground at H_tn x

H_tn: the camera's motion from frame to frame (``camera``), composed. What moves before a scene of little depth differs from B; a
shadow on it differs in lightness, not in colour; ground that has come free does not differ, however it flows. What that means of
the classes is for who sees it to learn (``Looks``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.camera import LEAST_POINTS, Displaced, Ground, Homography
from revseg.evidence.config import MotionConfig
from revseg.evidence.descriptors import picture_at
from revseg.evidence.flow import Flow

AT = (4, 8, 12, 17, 23, 30, 38)
"""How many frames before and after show what is behind a frame's objects."""
MARGIN = 4
"""Pixels around objects that do not count as ground."""
FINE, WIDE = 1.5, 4.0
"""Standard deviations of the surroundings in which differences are seen, in pixels."""
DIFFERENCES = 7
"""How many numbers say how a pixel differs."""
PICTURES = 2 * AT[-1] + 2
"""Small pictures that are held: of the frames that show what is behind one, and a little more."""


class Background:
    """volume: (C, T, H, W) uint8. ground: of its frames, at the size that they are seen at, of `height` lines at most."""

    def __init__(self, volume: Tensor, ground: Ground, *, flow: Flow, height: int, config: MotionConfig) -> None:
        self.volume, self.ground, self.height = volume, ground, height
        self._cameras = [_camera(flow, frame, config=config, ground=ground) for frame in range(flow.frames - 1)]
        self._picture = lru_cache(PICTURES)(self._picture_of)

    def differences(self, frame: int) -> Tensor:
        """Returns how the pixels of a frame differ from what is behind them, (h, w, DIFFERENCES) float32.

        By colour, by lightness, and its amount (CIE Lab), in finer surroundings and, after whether that is known at all, in wider
        ones. Where it is not, the former are 0.
        """
        behind, known = self.behind(frame)
        colour, lightness = _least_difference(self._picture(frame), behind)
        found = np.stack([colour, lightness, np.abs(lightness)], 2) * known[..., None]
        wide = cv2.GaussianBlur(found, (0, 0), WIDE)
        return torch.from_numpy(np.concatenate([found, known[..., None].astype(np.float32), wide], 2))

    def behind(self, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Returns what is behind the pixels of a frame, (h, w, 3), and where it is known; elsewhere it is what is before it."""
        picture = self._picture(frame)
        lines, columns = picture.shape[:2]
        flags = cv2.WARP_INVERSE_MAP
        shown, count = [], np.zeros((lines, columns), np.uint8)
        for other, camera in self._others(frame):
            seen = cv2.warpPerspective(self._picture(other), camera, (columns, lines), flags=flags | cv2.INTER_LINEAR)
            free = cv2.warpPerspective(self._free(other), camera, (columns, lines), flags=flags | cv2.INTER_NEAREST)
            shown.append(cv2.bitwise_or(seen, cv2.merge(3 * [free - np.uint8(1)])))  # 255, white, where it is no ground
            count += free
        known = count > 0
        if not known.any():
            return picture, known
        middle = (count.astype(np.intp) - 1).clip(min=0) // 2  # those that show nothing come last
        found = np.take_along_axis(_in_order(shown), middle[None, ..., None], 0)[0]
        return np.where(known[..., None], found, picture), known

    def _picture_of(self, frame: int) -> NDArray[np.uint8]:
        return picture_at(self.volume[:, frame], self.height)

    def _free(self, frame: int) -> NDArray[np.uint8]:
        """Ground of a frame that is not close to an object, 1 or 0."""
        return cv2.erode(self.ground(frame), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1)))

    def _others(self, frame: int) -> Iterator[tuple[int, Homography]]:
        """Frames before and after, and the way to them."""
        for sign in (1, -1):
            way, last = np.eye(3), frame
            for distance in AT:
                if not 0 <= (other := frame + sign * distance) < self.volume.shape[1]:
                    break
                for at in range(last, other, sign):
                    way = (self._cameras[at] if sign > 0 else np.linalg.inv(self._cameras[at - 1])) @ way
                last = other
                yield other, way


def _camera(flow: Flow, frame: int, *, config: MotionConfig, ground: Ground) -> Homography:
    """From a frame to the next, told from the ground, in pixels of the size that this is told at."""
    where = ground(frame)
    displaced = Displaced.on_grid(flow, flow.position(frame, frame + 1), config.spacing)
    on_ground = displaced.on(where, flow.size)
    found = (on_ground if len(on_ground.here) >= LEAST_POINTS else displaced).camera(config.tolerance)
    scale = np.diag([where.shape[1] / flow.size[0], where.shape[0] / flow.size[1], 1])
    return scale @ found @ np.linalg.inv(scale)


def _least_difference(picture: NDArray[np.uint8], behind: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """By colour, 0 or more, and lightness, (h, w) each; the least, where what is behind is shifted by a pixel at most."""
    lab, other = (cv2.split(cv2.cvtColor(one.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)) for one in (picture, behind))
    least, best = np.full(picture.shape[:2], np.inf, np.float32), [plane.copy() for plane in lab]
    for shift in product((-1, 0, 1), repeat=2):
        difference = [one - np.roll(another, shift, (0, 1)) for one, another in zip(lab, other, strict=True)]
        lightness, green, blue = difference
        amount = cv2.GaussianBlur(lightness**2 + green**2 + blue**2, (0, 0), FINE)
        better = amount < least
        for kept, found in zip((least, *best), (amount, *difference), strict=True):
            np.copyto(kept, found, where=better)
    lightness, green, blue = (cv2.GaussianBlur(one, (0, 0), FINE) for one in best)
    return np.hypot(green, blue), lightness


def _in_order(values: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Sorts arrays, element by element: by odd-even transposition, whole arrays at a time, which is fast in 8 bits."""
    ordered = list(values)
    for turn in range(len(ordered)):
        for one in range(turn % 2, len(ordered) - 1, 2):
            lower, upper = ordered[one], ordered[one + 1]
            ordered[one], ordered[one + 1] = np.minimum(lower, upper), np.maximum(lower, upper)
    return np.stack(ordered)
