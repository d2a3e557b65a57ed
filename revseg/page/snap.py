"""Snaps a rough mask to the edges of a picture: GrabCut (Rother, Kolmogorov, Blake 2004), as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from revseg.labels.masks import Labels

LARGEST = 320
"""Lines or columns of the part that is looked at, at most: the cut takes a fraction of a second."""
BAND = 0.12
"""Half the width of the band along the rough edge in which the cut is sought, in parts of the object's extent."""
ITERATIONS = 4


def snapped(picture: NDArray[np.uint8], labels: Labels, number: int) -> Labels:
    """Returns the labels with one object cut along edges near its rough outline; other objects stay as they are.

    picture: BGR (H, W, 3), of any size; labels: (H, W).
    """
    rough = labels == number
    if not rough.any():
        return labels
    rows, columns = (np.flatnonzero(rough.any(axis)) for axis in (1, 0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = max(8, round(2.5 * BAND * extent))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    window = np.s_[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
    part, others = rough[window], (labels[window] != number) & (labels[window] != 0)
    scale = min(1.0, LARGEST / max(part.shape))
    size = (max(2, round(part.shape[1] * scale)), max(2, round(part.shape[0] * scale)))
    shown = picture if picture.shape[:2] == labels.shape else cv2.resize(picture, labels.shape[::-1])
    small = cv2.resize(shown[window], size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    forbidden = cv2.resize(others.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    trimap = _trimap(inside > 0, max(1, round(BAND * extent * scale)), forbidden)
    if not (trimap == cv2.GC_BGD).any() or not (trimap == cv2.GC_FGD).any():
        return labels
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    trimap, _, _ = cv2.grabCut(small, trimap, None, models[0], models[1], ITERATIONS, cv2.GC_INIT_WITH_MASK)
    cut = ((trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)).astype(np.float32)
    whole = cv2.resize(cut, part.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
    found = labels.copy()
    found[window] = np.where(others, labels[window], np.where(whole, number, 0))
    return found


def _trimap(inside: NDArray[np.bool_], band: int, forbidden: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Sure inside and sure outside of a band along the outline; within it the outline is a guess."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    mask = inside.astype(np.uint8)
    core = cv2.erode(mask, kernel, borderType=cv2.BORDER_REPLICATE)
    if not core.any():  # a line as thin as the band: its middle is sure
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        core = (distance >= 0.5 * distance.max()).astype(np.uint8)
    around = cv2.dilate(mask, kernel)
    trimap = np.where(mask > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[core > 0] = cv2.GC_FGD
    trimap[(around == 0) | forbidden] = cv2.GC_BGD
    return trimap
