"""J and F of one object in one frame, and their statistics over the frames of a sequence.

Perazzi et al., "A benchmark dataset and evaluation methodology for video object segmentation", CVPR 2016,
with the conventions of the DAVIS evaluation code. A mask is bool (H, W), True on the object.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot, isqrt

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

TOLERANCE = 0.008  # of the frame's diagonal: how far apart two contours may lie and still match


def region_similarity(prediction: Mask, truth: Mask, void: Mask | None = None) -> float:
    """J = |prediction AND truth| / |prediction OR truth| over non-void pixels; 1 if the union is empty."""
    prediction, truth = _without_void(prediction, truth, void)
    union = np.count_nonzero(prediction | truth)
    return np.count_nonzero(prediction & truth) / union if union else 1.0


def contour_accuracy(prediction: Mask, truth: Mask, void: Mask | None = None, *, radius: int | None = None) -> float:
    """F = 2 P R / (P + R) of the boundary pixels, matched within ceil(0.008 * diagonal) pixels.

    P: share of the predicted boundary that lies near the true one; R: the reverse. Both boundaries empty: 1;
    exactly one empty: 0. Void pixels are set to background before the boundaries are taken. radius: in place of
    ceil(0.008 * diagonal), where the masks are cut out of a frame.
    """
    prediction, truth = _without_void(prediction, truth, void)
    radius = tolerance(truth.shape) if radius is None else radius
    window = _window(prediction | truth)  # all boundary pixels lie in it: nothing outside can match
    found, true = boundary(prediction[window]), boundary(truth[window])
    found_count, true_count = np.count_nonzero(found), np.count_nonzero(true)
    if not found_count or not true_count:
        return float(found_count == true_count)
    precision = np.count_nonzero(found & dilate(true, radius)) / found_count
    recall = np.count_nonzero(true & dilate(found, radius)) / true_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def tolerance(size: tuple[int, ...]) -> int:
    """Returns how many pixels apart two contours may lie in a frame of a size and still match."""
    return ceil(TOLERANCE * hypot(*size))


def boundary(mask: Mask) -> Mask:
    """Returns the pixels that differ from their east, south or south-east neighbour.

    The last row is compared only to the east, the last column only to the south, the last pixel not at all: an
    object cut off by the frame's right or lower edge has no boundary there.
    """
    result = np.zeros_like(mask)
    result[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    result[:-1, :] |= mask[:-1, :] ^ mask[1:, :]
    result[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return result


def dilate(mask: Mask, radius: int) -> Mask:
    """Returns the pixels with a True pixel within dx^2 + dy^2 <= radius^2.

    The disk is a stack of horizontal runs, narrow at its ends and wide in the middle: one run is widened
    step by step and added at +-dy, about 4 * radius passes instead of the pi * radius^2 of the disk's
    area.
    """
    height = mask.shape[0]
    run, reach = mask.copy(), 0
    result = np.zeros_like(mask)
    for dy in range(min(radius, height - 1), -1, -1):
        while reach < isqrt(radius**2 - dy**2):
            reach += 1
            run[:, reach:] |= mask[:, :-reach]
            run[:, :-reach] |= mask[:, reach:]
        result[dy:] |= run[: height - dy]
        result[: height - dy] |= run[dy:]
    return result


@dataclass(frozen=True)
class Statistics:
    """Statistics of one measure over the frames of one object."""

    mean: float
    recall: float
    """Share of the frames above 0.5."""
    decay: float
    """Mean of the first quarter of the frames minus mean of the last quarter."""


def statistics(values: Sequence[float]) -> Statistics:
    """Returns mean, recall and decay of one value per frame, for at least one frame.

    Neighbouring quarters share their border frame: of N frames, quarter i runs from border i to border i +
    1, both included, borders = round(linspace(1, N, 5)) - 1. (The DAVIS code keeps them in 8 bits, which
    wrap beyond 256 frames; these do not.)
    """
    frames = np.asarray(values, dtype=np.float64)
    borders = np.round(np.linspace(1, len(frames), 5) + 1e-10).astype(int) - 1
    first, last = frames[: borders[1] + 1], frames[borders[3] :]
    return Statistics(
        mean=float(frames.mean()),
        recall=float((frames > 0.5).mean()),
        decay=float(first.mean() - last.mean()),
    )


def _without_void(prediction: Mask, truth: Mask, void: Mask | None) -> tuple[Mask, Mask]:
    if prediction.shape != truth.shape:
        raise ValueError(f"the predicted mask has shape {prediction.shape}, the true one {truth.shape}: resize one of them")
    if void is None:
        return prediction, truth
    return prediction & ~void, truth & ~void


def _window(mask: Mask) -> tuple[slice, slice]:
    """Returns the rows and columns that hold True pixels, and one more on each side where the frame has it.

    The margin keeps `boundary` the same as on the whole frame: its rules for the last row and column then
    apply to empty pixels, or to the frame's own last row and column.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)
