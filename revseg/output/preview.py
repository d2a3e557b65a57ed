"""A small moving picture of a segmented video, for a page or a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

from revseg.output.frame import OutputFrame, Write
from revseg.runs.atomic import replacing

HEIGHT, MOST_FRAMES = 160, 40
LONGEST = 655_350
"""Milliseconds that the format can show a frame: 16 bits of hundredths of a second."""


@contextmanager
def preview(path: Path, frames: int, frame_rate: Fraction) -> Iterator[Write]:
    """Writes evenly spaced frames of an overlay as an animated GIF that plays as long as the video."""
    step = -(-frames // MOST_FRAMES)
    milliseconds = min(max(20, round(1000 * step / frame_rate)), LONGEST)
    pictures: list[NDArray[np.uint8]] = []

    def write(frame: OutputFrame) -> None:
        if frame.index % step == 0:
            pictures.append(_small(frame.drawn))

    yield write
    with replacing(path) as temporary:
        content = imageio.imwrite("<bytes>", np.stack(pictures), extension=".gif", duration=milliseconds, loop=0)
        temporary.write_bytes(content)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height = min(HEIGHT, picture.shape[0])
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
