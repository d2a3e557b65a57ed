"""What the surroundings of a pixel look like: colour, and the histogram of gradients, each at two scales.

The histogram counts directions without a sign, so that an object looks the same before light and before dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.native.descriptors import describe
from revseg.evidence.native.library import compiled
from revseg.video.picture import picture_of

Picture: TypeAlias = NDArray[np.uint8]
"""(h, w, 3), RGB."""

Colours: TypeAlias = NDArray[np.float32]
"""(h, w, 3), CIE Lab."""

Pixels: TypeAlias = NDArray[np.bool_]
"""(h, w): some of a frame's."""

COLOUR_SCALES, GRADIENT_SCALES = (2, 6), (3, 8)
"""Standard deviations of the surroundings, in pixels."""
REACH = 24
"""Pixels beyond which hardly anything of the surroundings is seen: three of the largest of them."""
FARTHEST = round(8 * max(COLOUR_SCALES + GRADIENT_SCALES) + 1) // 2 + 1
"""Pixels beyond which nothing is seen: what OpenCV's blurs reach, and one more for a gradient."""
BINS = 6
"""Directions of a histogram."""
NUMBERS = 3 * (1 + len(COLOUR_SCALES)) + BINS * len(GRADIENT_SCALES)
"""How many numbers describe a pixel."""


def descriptors(
    picture: Picture, pixels: Pixels | None = None, *, colours: Colours | None = None, into: Tensor | None = None
) -> Tensor:
    """Returns the descriptors (h, w, NUMBERS) float32 of a picture, or those of some pixels, (n, NUMBERS), in the order of rows.

    colours: its own, if they are at hand; into: where they are put; these rows may be parts of longer ones.
    """
    if colours is None:
        colours = colours_of(picture)
    if into is None:
        size = picture.shape[:2] if pixels is None else (int(pixels.sum()),)
        into = torch.empty(*size, NUMBERS)
    if compiled():
        describe(colours, into.flatten(0, -2), wanted=pixels, colour_scales=COLOUR_SCALES, gradient_scales=GRADIENT_SCALES)
        return into
    gradients = _gradients(np.ascontiguousarray(colours[:, :, 0]))
    blurred = [cv2.GaussianBlur(colours, (0, 0), scale) for scale in COLOUR_SCALES]
    histograms = [np.sqrt(cv2.GaussianBlur(gradients, (0, 0), scale)) for scale in GRADIENT_SCALES]
    side_by_side([colours, *blurred, *histograms], pixels, into=into)
    return into


def colours_of(picture: Picture) -> Colours:
    """Returns the colours of a picture, (h, w, 3), CIE Lab."""
    shares = picture.astype(np.float32)
    shares /= 255
    found: Colours = cv2.cvtColor(shares, cv2.COLOR_RGB2LAB)
    return found


def side_by_side(layers: Sequence[NDArray[np.float32]], pixels: Pixels | None = None, *, into: Tensor) -> None:
    """Puts numbers (h, w, n) of each pixel into rows (h, w, N), or those of some pixels, (m, N), in the order of rows."""
    np.concatenate(layers if pixels is None else [layer[pixels] for layer in layers], -1, out=into.numpy())


def picture_at(frame: Tensor, height: int) -> Picture:
    """Returns the picture (h, w, 3) of a frame (C, H, W) uint8, of so many lines at most."""
    picture = picture_of(list(frame.numpy()))
    lines, columns = size_at(picture.shape[:2], height)
    if (lines, columns) == picture.shape[:2]:
        return picture
    smaller: Picture = cv2.resize(picture, (columns, lines), interpolation=cv2.INTER_AREA)
    return smaller


def size_at(size: Sequence[int], height: int) -> tuple[int, int]:
    """Returns the size (h, w) at which frames of a size (H, W) are seen, of so many lines at most."""
    lines, columns = size
    return (lines, columns) if lines <= height else (height, max(1, round(columns * height / lines)))


def _gradients(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, BINS): the length of each pixel's gradient, shared by the two bins whose directions are nearest to its own."""
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    length, angle = cv2.cartToPolar(across, down)
    place = angle * np.float32(BINS / np.pi)
    place -= np.float32(BINS) * (place >= BINS)  # no sign
    shared = []
    for number in range(BINS):
        off = cv2.absdiff(place, float(number))
        nearness = cv2.max(1 - cv2.min(off, BINS - off), 0.0)
        shared.append(cv2.multiply(length, nearness))
    return cv2.merge(shared)
