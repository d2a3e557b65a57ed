"""What the surroundings of pixels look like, on the CPU (``descriptors.c``)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.native.library import called
from revseg.reversible.kernels.native.compiled import address

LINES, MARGIN = 4, 64
"""Lines that are blurred at a time, and numbers that may be written beyond a line (``blur.h``)."""
PLANES = 9
"""Colours and directions of a pixel."""


def describe(
    colours: NDArray[np.float32],
    rows: Tensor,
    *,
    wanted: NDArray[np.bool_] | None,
    colour_scales: Sequence[float],
    gradient_scales: Sequence[float],
) -> None:
    """Fills rows of float32, (n, numbers), perhaps of longer ones, with what describes pixels of a picture in their order.

    colours: (h, w, 3), CIE Lab; wanted: (h, w), which pixels; None: all. Scales are the standard deviations of blurs.
    """
    reaches, weights = taps([*colour_scales, *gradient_scales])
    most = int(reaches.max())
    height, columns = colours.shape[:2]
    numbers, width = rows.shape[1], columns + MARGIN
    lines = (2 * most + LINES + 1) * PLANES + 2 + LINES * numbers
    scratch = torch.zeros(lines * width + LINES * (columns + 2 * most + 2 * MARGIN) + columns)
    sizes = height, columns, address(rows), rows.stride(0), len(colour_scales), len(gradient_scales)
    called("descriptors", colours, wanted, *sizes, reaches, weights, scratch)


def taps(scales: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Returns how far blurs of such standard deviations reach, and their weights, as ``blur.h`` takes them: OpenCV's."""
    reaches = [round(8 * scale + 1) // 2 for scale in scales]
    spare = np.zeros(LINES - 1)
    parts = [
        [spare, cv2.getGaussianKernel(2 * reach + 1, scale)[:, 0], spare] for reach, scale in zip(reaches, scales, strict=True)
    ]
    return np.array(reaches, np.int64), np.concatenate(sum(parts, [])).astype(np.float32)
