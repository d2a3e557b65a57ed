"""How a frame of any number of channels is shown, and followed by optical flow: as a picture of three."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


def picture_of(planes: Sequence[Plane]) -> NDArray[np.uint8]:
    """Returns (H, W, 3) uint8 for the channels (H, W) of a frame.

    Three are red, green and blue, as they are. More are cut into three groups of neighbours, and the mean of each group is a
    colour. One or two become grey, by their mean.
    """
    if len(planes) == 3:
        return cv2.merge(list(planes))
    groups = np.array_split(np.asarray(planes), 3) if len(planes) > 3 else 3 * [np.asarray(planes)]
    return np.stack([group.mean(0).round().astype(np.uint8) for group in groups], axis=-1)
