"""What the surroundings of a pixel look like: colour, and the histogram of gradients, each at two scales.

The histogram counts directions without a sign, so that an object looks the same before light and before dark.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.opencv import length
from revseg.video.picture import picture_of

COLOUR_SCALES, GRADIENT_SCALES = (2, 6), (3, 8)
"""Standard deviations of the surroundings, in pixels."""
BINS = 6
"""Directions of a histogram."""
NUMBERS = 3 * (1 + len(COLOUR_SCALES)) + BINS * len(GRADIENT_SCALES)
"""How many numbers describe a pixel."""


def descriptors(frame: Tensor, height: int) -> Tensor:
    """Returns the descriptors (h, w, NUMBERS) float32 of a frame (C, H, W) uint8, seen at so many lines at most."""
    picture = picture_at(frame, height)
    colours = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    gradients = _gradients(np.ascontiguousarray(colours[:, :, 0]))
    blurred = [cv2.GaussianBlur(colours, (0, 0), scale) for scale in COLOUR_SCALES]
    histograms = [np.sqrt(cv2.GaussianBlur(gradients, (0, 0), scale)) for scale in GRADIENT_SCALES]
    return torch.from_numpy(np.concatenate([colours, *blurred, *histograms], 2))


def picture_at(frame: Tensor, height: int) -> NDArray[np.uint8]:
    """Returns the picture (h, w, 3) of a frame (C, H, W) uint8, of so many lines at most."""
    picture = picture_of(list(frame.numpy()))
    lines, columns = size_at(picture.shape[:2], height)
    if (lines, columns) == picture.shape[:2]:
        return picture
    smaller: NDArray[np.uint8] = cv2.resize(picture, (columns, lines), interpolation=cv2.INTER_AREA)
    return smaller


def size_at(size: Sequence[int], height: int) -> tuple[int, int]:
    """Returns the size (h, w) at which frames of a size (H, W) are seen, of so many lines at most."""
    lines, columns = size
    return (lines, columns) if lines <= height else (height, max(1, round(columns * height / lines)))


def _gradients(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, BINS): the length of each pixel's gradient, shared by the two bins whose directions are nearest to its own."""
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    place = (np.arctan2(down, across) % np.pi) * np.float32(BINS / np.pi)
    off = np.abs(place[..., None] - np.arange(BINS, dtype=np.float32))
    nearness = (1 - np.minimum(off, BINS - off)).clip(min=0)
    shared: NDArray[np.float32] = length(across, down)[..., None] * nearness
    return shared
