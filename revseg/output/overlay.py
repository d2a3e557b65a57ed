"""Labels drawn on a frame, in the colours of DAVIS or in others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from revseg.labels.masks import Labels
from revseg.labels.palette import PASCAL_PALETTE


def overlay(
    frame: NDArray[np.uint8],
    mask: Labels,
    alpha: float = 0.5,
    *,
    palette: NDArray[np.uint8] = PASCAL_PALETTE,
    contours: bool = True,
) -> NDArray[np.uint8]:
    """A frame (H, W, 3) with the objects of a mask (H, W) tinted by `alpha`, with a bright contour."""
    if frame.shape[:2] != mask.shape:
        raise ValueError(
            f"a mask of {mask.shape[1]} x {mask.shape[0]} pixels cannot be drawn on a frame of "
            f"{frame.shape[1]} x {frame.shape[0]}: resize it first"
        )
    result = frame.copy()
    inside = mask > 0
    tinted = (1 - alpha) * frame[inside] + alpha * palette[mask[inside]]
    result[inside] = np.rint(tinted).astype(np.uint8)
    if contours:
        edge = _contour(mask)
        result[edge] = 255 - (255 - palette[mask[edge]]) // 2  # halfway to white: the palette of DAVIS is dark
    return result


def palette_of(colours: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Returns the palette (256, 3) in which objects 1, 2, ... have these colours, and others those of DAVIS."""
    palette = PASCAL_PALETTE.copy()
    for number, colour in enumerate(colours[:255], 1):
        palette[number] = colour
    return palette


def _contour(mask: Labels) -> NDArray[np.bool_]:
    """Pixels of objects beside a pixel of another label."""
    edge = np.zeros(mask.shape, dtype=bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge & (mask > 0)
