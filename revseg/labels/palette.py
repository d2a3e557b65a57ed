"""What the values of a mask mean, and how they are coloured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""The label of pixels that count nowhere: not in the loss, not in a measure."""


def _pascal_palette() -> NDArray[np.uint8]:
    """Bits 0, 3, 6 of a label are the high bits of red, bits 1, 4, 7 of green, bits 2, 5 of blue."""
    label = np.arange(256)
    channels = [sum((label >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)


PASCAL_PALETTE = _pascal_palette()
"""(256, 3) uint8: the colours of PASCAL VOC and DAVIS."""
