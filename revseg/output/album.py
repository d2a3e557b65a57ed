"""Some frames of an overlay, kept as small JPEG files while the overlay is drawn: the sheet, and those that went worst."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.video.resize import resize_picture

SHEET, PARTS = 32, 12
"""Frames of the contact sheet; parts of the video, and of each stretch between labelled frames, whose worst frame is kept."""
SMALL, LARGE = 180, 720
"""Pixels of the longer side."""
QUALITY = 82


class Album:
    """Pictures of frames by number.

    frames: how many the video has. labelled: those with a label of their own, which are never the worst.
    """

    def __init__(self, frames: int, labelled: Collection[int]) -> None:
        self.small: dict[int, bytes] = {}
        self._sheet = frozenset(evenly(frames, SHEET))
        self._labelled = frozenset(labelled)
        self._ends = sorted(self._labelled.union(evenly(frames, PARTS + 1)))
        self._worst: dict[int, tuple[float, int, bytes]] = {}

    def add(self, index: int, picture: NDArray[np.uint8], expected: float) -> None:
        """Looks at a frame, RGB (H, W, 3), of which J `expected` is expected."""
        if index in self._sheet:
            self.small[index] = _jpeg(picture, SMALL)
        part = bisect_left(self._ends, index)
        if index not in self._labelled and (part not in self._worst or expected < self._worst[part][0]):
            self._worst[part] = expected, index, _jpeg(picture, LARGE)

    @property
    def large(self) -> dict[int, bytes]:
        """The worst frame of each part, the worst of all first."""
        return {index: picture for _, index, picture in sorted(self._worst.values())}


def evenly(frames: int, most: int) -> list[int]:
    """Returns at most so many frames of a video, evenly spaced, the first and the last among them."""
    return sorted(set(np.linspace(0, frames - 1, min(most, frames)).round().astype(int).tolist()))


def _jpeg(picture: NDArray[np.uint8], longest: int) -> bytes:
    height, width = picture.shape[:2]
    if (share := longest / max(height, width)) < 1:
        picture = resize_picture(picture, (max(1, round(share * height)), max(1, round(share * width))))
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
