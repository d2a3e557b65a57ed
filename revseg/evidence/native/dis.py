"""Dense inverse search (DIS; Kroeger et al., arXiv:1603.03590) in C (``dis.c``): OpenCV's flow, bit by bit, in a
quarter of its time with AVX-512, in a third with AVX2."""

from __future__ import annotations

from math import floor, log, log2

import numpy as np
from numpy.typing import NDArray

from revseg.evidence.native.library import called

SIDE = 8
"""Side of a patch, in pixels."""

PASSES = 2
"""Over the patches of a scale: forth and back, with half of the iterations each."""


def dense_flow(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, finest: int, stride: int, iterations: int
) -> NDArray[np.float32]:
    """Returns the flow (H, W, 2) in pixels, x and y, from the first to the second of two grey frames (H, W).

    finest: the last scale, 0 for full resolution. stride: pixels between patches. iterations: steps that a patch takes at most.
    """
    if first.shape != second.shape or first.dtype != np.uint8 or second.dtype != np.uint8:
        raise ValueError("flow is between two frames of bytes of the same size")
    if not 1 <= stride <= SIDE or iterations < PASSES:
        raise ValueError(f"patches are 1 to {SIDE} pixels apart, and take {PASSES} steps or more")
    height, width = first.shape
    coarsest, finest = scales(width, height, finest=finest)
    flow, failed = np.empty((height, width, 2), np.float32), np.zeros(1, np.int32)
    frames = np.ascontiguousarray(first), np.ascontiguousarray(second)
    called("dis_flow", *frames, flow, width, height, finest, coarsest, stride, iterations // PASSES, failed)
    if failed[0]:
        raise MemoryError(f"optical flow of {width} x {height} pixels")
    return flow


def scales(width: int, height: int, *, finest: int) -> tuple[int, int]:
    """Returns the coarsest and the finest scale as OpenCV chooses them: where there is no scale as coarse as the finest that is
    asked for, a finer one. (From scale 3 on its patches are larger then; here they are not.)"""
    shorter, longer = sorted((width, height))
    coarsest = -1
    if shorter >= SIDE:
        coarsest = min(int(log(longer / (4 * SIDE)) / log(2) + 0.5), int(log(shorter // SIDE) / log(2)))
    if coarsest < 0:
        raise ValueError(f"{width} x {height} pixels are too few for optical flow")
    if coarsest < finest:
        coarsest = max(0, floor(log2(2 * width / (5 * SIDE))))
        finest = max(0, coarsest - {3: 4, 4: 5}.get(finest, 2))
        while shorter >> coarsest < SIDE:  # OpenCV reads beyond its frames there
            coarsest -= 1
    return coarsest, min(finest, coarsest)
