"""What is behind pixels, and how they differ from it, on the CPU (``background.c``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.native.descriptors import LINES, MARGIN, taps
from revseg.evidence.native.library import called
from revseg.reversible.kernels.native.compiled import address

MOST = 16
"""Frames that may show what is behind another."""
PLANES, SHIFTS = 3, 9
"""Colours, and shifts of what is behind."""

Bytes = NDArray[np.uint8]


def median(shown: Bytes, free: Bytes, pairs: Sequence[tuple[int, int]], before: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
    """Returns the median (h, w, 3) of what frames show, (n, h, w, 3), where they are free, (n, h, w), 1 or 0, and where that is
    known; `before` elsewhere. pairs: which of n values are compared, in order, to sort them."""
    assert len(shown) == len(free) <= MOST
    found, known = np.empty_like(before), np.empty(before.shape[:2], bool)
    order = np.array(pairs, np.int64)
    called("median", shown, free, len(shown), known.size, order, len(pairs), np.ascontiguousarray(before), found, known)
    return found, known


def differences(
    before: NDArray[np.float32], behind: NDArray[np.float32], known: NDArray[np.bool_], *, rows: Tensor, scales: Sequence[float]
) -> None:
    """Fills rows (h, w, DIFFERENCES) of float32, perhaps of longer ones, with how pixels differ from what is behind them.

    before, behind: (h, w, 3), CIE Lab; known: (h, w), where the latter is. scales: standard deviations of finer surroundings and
    of wider ones, in pixels.
    """
    reaches, weights = taps(scales)
    height, columns = known.shape
    assert rows.stride(2) == 1
    assert rows.stride(0) == columns * rows.stride(1)
    width, fine, wide = columns + 2 + MARGIN, int(reaches[0]), int(reaches.max())
    lines = 3 * PLANES * height + (2 * fine + 2 * LINES) * SHIFTS
    scratch = torch.zeros(lines * width + LINES * (columns + 2 * wide + 2 * MARGIN))
    sizes = height, columns, address(rows), rows.stride(1)
    called("differences", before, behind, known, *sizes, reaches, weights, scratch)
