"""Some frames of an overlay, kept as small JPEG files while the overlay is written."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.video.resize import resize_picture

SHEET = 32
"""Frames of a contact sheet."""
SMALL, LARGE = 180, 720
"""Widths in pixels."""
QUALITY = 82


class Album:
    """Pictures of frames by number. small, large: which frames are kept at which width."""

    def __init__(self, small: Collection[int], large: Collection[int]) -> None:
        self._wanted = ((frozenset(small), SMALL), (frozenset(large), LARGE))
        self.small: dict[int, bytes] = {}
        self.large: dict[int, bytes] = {}

    def add(self, index: int, picture: NDArray[np.uint8]) -> None:
        """Keeps a frame, RGB (H, W, 3), where it is one of those."""
        for kept, (wanted, width) in zip((self.small, self.large), self._wanted, strict=True):
            if index in wanted:
                kept[index] = _jpeg(picture, width)


def evenly(frames: int, most: int = SHEET) -> list[int]:
    """Returns at most so many frames of a video, evenly spaced, the first and the last among them."""
    return sorted(set(np.linspace(0, frames - 1, min(most, frames)).round().astype(int).tolist()))


def _jpeg(picture: NDArray[np.uint8], width: int) -> bytes:
    height, columns = picture.shape[:2]
    if columns > width:
        picture = resize_picture(picture, (max(1, round(height * width / columns)), width))
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
