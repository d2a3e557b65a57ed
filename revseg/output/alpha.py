"""Alpha: how much of each pixel is object, with soft edges that follow the picture.

The probabilities tell where an object is, not where its hairs end: they are made at a coarser size. Sharpened around 1/2, they
are refined by the picture in a band around the contour, with a guided filter (He, Sun, Tang, "Guided image filtering", TPAMI
2013): in each window alpha is linear in the colour,

    alpha = a . colour + b        (a, b) by least squares against the probabilities, with epsilon |a|^2

and each pixel takes the mean of all windows that it lies in. Outside of the band alpha is the mask, 0 or 1. Nowhere does it
contradict the mask: at least 1/2 where the mask shows the object, less elsewhere. So labels by hand stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]
Box = tuple[slice, slice]

HALF = 128
"""Least alpha, of 255, where the mask shows the object."""
STRIP = 128
"""Rows that are refined at a time: memory does not grow with the height of the frame."""


@dataclass(frozen=True)
class Edge:
    """How edges are refined."""

    width: float
    """Width of the band on either side of the contour, as a share of the height of the frame."""
    epsilon: float
    """Variance of a colour, of 1, that counts as noise: less makes alpha follow finer differences of colour."""
    sharpness: float
    """Factor of the difference of probabilities to 1/2."""

    def pixels(self, height: int) -> int:
        """Returns the width of the band in pixels: of any band one at least."""
        return max(1, round(self.width * height)) if self.width else 0


def alpha_of(probability: Plane, inside: NDArray[np.bool_], picture: Picture, *, edge: Edge) -> NDArray[np.uint8]:
    """Returns alpha (H, W), 0 to 255.

    probability: (H, W) of the object. inside: (H, W), where the mask shows it. picture: (H, W, 3).
    """
    alpha = np.where(inside, np.uint8(255), np.uint8(0))
    width = edge.pixels(len(inside))
    if width == 0:
        return alpha
    around = band(inside, width)
    for inner, outer in strips(around, margin=2 * width):
        sharp = (0.5 + edge.sharpness * (probability[outer] - 0.5)).clip(0, 1)
        refined = guided(picture[outer].astype(np.float32) / 255, sharp, width, epsilon=edge.epsilon)
        soft = np.rint(255 * refined[within(inner, outer)].clip(0, 1)).astype(np.uint8)
        soft = np.where(inside[inner], np.maximum(soft, HALF), np.minimum(soft, HALF - 1))
        alpha[inner] = np.where(around[inner], soft, alpha[inner])
    return alpha


def band(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Returns the pixels no further than a width from the contour."""
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    mask = inside.astype(np.uint8)
    return np.asarray(cv2.dilate(mask, shape) != cv2.erode(mask, shape))


def strips(where: NDArray[np.bool_], margin: int) -> Iterator[tuple[Box, Box]]:
    """Yields boxes that hold all pixels of a mask, and the same with a margin."""
    for top in range(0, len(where), STRIP):
        rows, columns = (np.flatnonzero(where[top : top + STRIP].any(axis)) for axis in (1, 0))
        if rows.size:
            sides = (top + int(rows[0]), top + int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
            down, right = (slice(*side) for side in sides)
            more_down, more_right = (slice(max(0, start - margin), end + margin) for start, end in sides)
            yield (down, right), (more_down, more_right)


def within(inner: Box, outer: Box) -> Box:
    """Returns where a box is within another one."""
    down, right = (slice(one.start - other.start, one.stop - other.start) for one, other in zip(inner, outer, strict=True))
    return down, right


def guided(guide: Plane, plane: Plane, radius: int, *, epsilon: float) -> Plane:
    """Returns a plane (H, W) filtered by the colours of a guide (H, W, 3), both of 0 to 1, in windows of a radius."""

    def mean(values: Plane) -> Plane:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT), np.float32)

    colours, target = mean(guide), mean(plane)
    with_target = [mean(guide[..., one] * plane) - colours[..., one] * target for one in range(3)]
    red, green, blue = (guide[..., one] for one in range(3))
    products = red * red, red * green, red * blue, green * green, green * blue, blue * blue
    of_means = [colours[..., one] * colours[..., other] for one, other in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
    covariances = [mean(product) - of_mean for product, of_mean in zip(products, of_means, strict=True)]
    slope = np.stack(_solved(covariances, with_target, epsilon), axis=-1)
    offset = target - (slope * colours).sum(-1)
    return np.asarray((mean(slope) * guide).sum(-1) + mean(offset), np.float32)


def _solved(covariances: Sequence[Plane], right: Sequence[Plane], epsilon: float) -> list[Plane]:
    """Solves (C + epsilon I) a = right in every pixel, C symmetric 3 x 3, by its cofactors: a hundred times as fast as LAPACK."""
    aa, ab, ac, bb, bc, cc = covariances
    aa, bb, cc = aa + epsilon, bb + epsilon, cc + epsilon
    rows = (
        (bb * cc - bc * bc, ac * bc - ab * cc, ab * bc - ac * bb),
        (ac * bc - ab * cc, aa * cc - ac * ac, ab * ac - aa * bc),
        (ab * bc - ac * bb, ab * ac - aa * bc, aa * bb - ab * ab),
    )
    determinant = aa * rows[0][0] + ab * rows[0][1] + ac * rows[0][2]
    return [(one * right[0] + two * right[1] + three * right[2]) / determinant for one, two, three in rows]


def foreground(picture: Picture, alpha: NDArray[np.uint8], width: int) -> Picture:
    """Returns the picture with the colours of the object alone where alpha is neither 0 nor 255: without what shines through.

    Both colours are those nearby, weighed by how much of each there is, and what is left of the difference to the picture is
    the object's (Forte, "Approximate fast foreground colour estimation", ICIP 2021).
    """
    soft = (alpha > 0) & (alpha < 255)
    result = picture.copy()

    def mean(values: Plane) -> Plane:
        found = cv2.blur(values, (2 * width + 1, 2 * width + 1), borderType=cv2.BORDER_REFLECT)
        return np.asarray(found, np.float32).reshape(values.shape)

    for inner, outer in strips(soft, margin=width):
        share = alpha[outer].astype(np.float32)[..., None] / 255
        colour = picture[outer].astype(np.float32)
        object_near = mean(colour * share) / (mean(share) + 1e-5)
        other_near = mean(colour * (1 - share)) / (mean(1 - share) + 1e-5)
        found = object_near + share * (colour - share * object_near - (1 - share) * other_near)
        rounded = np.rint(found[within(inner, outer)].clip(0, 255)).astype(np.uint8)
        result[inner] = np.where(soft[inner][..., None], rounded, picture[inner])
    return result
