"""A small moving picture of a segmented video, for a page or a message."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

from revseg.runs.atomic import replacing

HEIGHT, MOST_FRAMES = 160, 40
LONGEST = 655_350
"""Milliseconds that the format can show a frame: 16 bits of hundredths of a second."""


class Preview:
    """Evenly spaced frames of an overlay, which become an animated GIF that plays as long as the video."""

    def __init__(self, frames: int, frame_rate: Fraction) -> None:
        self.step = -(-frames // MOST_FRAMES)
        self.milliseconds = min(max(20, round(1000 * self.step / frame_rate)), LONGEST)
        self._pictures: list[NDArray[np.uint8]] = []

    def add(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Takes a frame (H, W, 3) if it is one of those shown."""
        if index % self.step:
            return
        height = min(HEIGHT, frame.shape[0])
        width = max(1, round(frame.shape[1] * height / frame.shape[0]))
        self._pictures.append(np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8))

    def write(self, path: Path) -> None:
        """Writes the GIF."""
        with replacing(path) as temporary:
            content = imageio.imwrite("<bytes>", np.stack(self._pictures), extension=".gif", duration=self.milliseconds, loop=0)
            temporary.write_bytes(content)
