"""Alpha: how much of each pixel is object, with soft edges that follow the picture.

The probabilities tell where an object is, not where its hairs end: they are made at a coarser size. In a band around the contour
the picture refines them by a guided filter (He, Sun, Tang, "Guided image filtering", TPAMI 2013): in each window alpha is linear
in the colour,

    alpha = a . colour + b        (a, b) by least squares against the probabilities, with epsilon |a|^2

and each pixel takes the mean of all windows that it lies in. Outside of the band alpha is the mask, 0 or 1. Nowhere does it
contradict the mask: at least 1/2 where the mask shows the object, less elsewhere. So labels by hand stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

HALF = 128
"""Least alpha, of 255, where the mask shows the object."""


@dataclass(frozen=True)
class Edge:
    """How edges are refined."""

    width: float
    """Of the band on either side of the contour, as a share of the height of the frame."""
    epsilon: float
    """Variance of a colour, of 1, that counts as noise: less makes alpha follow finer differences of colour."""

    def pixels(self, height: int) -> int:
        """Returns the width of the band in pixels."""
        return max(1, round(self.width * height))


def alpha_of(probability: Plane, inside: NDArray[np.bool_], picture: Picture, edge: Edge) -> NDArray[np.uint8]:
    """Returns alpha (H, W), 0 to 255.

    probability: (H, W) of the object. inside: (H, W), where the mask shows it. picture: (H, W, 3).
    """
    alpha = np.where(inside, np.uint8(255), np.uint8(0))
    width = edge.pixels(inside.shape[0])
    if width == 0 or (found := band(inside, width)) is None:
        return alpha
    around, place = found
    refined = guided(picture[place].astype(np.float32) / 255, probability[place], width, epsilon=edge.epsilon)
    soft = np.rint(255 * refined.clip(0, 1)).astype(np.uint8)
    soft = np.where(inside[place], np.maximum(soft, HALF), np.minimum(soft, HALF - 1))
    alpha[place] = np.where(around[place], soft, alpha[place])
    return alpha


def band(inside: NDArray[np.bool_], width: int) -> tuple[NDArray[np.bool_], tuple[slice, slice]] | None:
    """Returns the pixels no further than a width from the contour, and the box around all windows there; None without any."""
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    mask = inside.astype(np.uint8)
    around = cv2.dilate(mask, shape) != cv2.erode(mask, shape)
    rows, columns = (np.flatnonzero(around.any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    margin = 2 * width
    place = slice(max(0, rows[0] - margin), rows[-1] + margin + 1), slice(max(0, columns[0] - margin), columns[-1] + margin + 1)
    return around, place


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
    rows, columns = (np.flatnonzero(soft.any(axis)) for axis in (1, 0))
    if not rows.size:
        return picture
    place = slice(max(0, rows[0] - width), rows[-1] + width + 1), slice(max(0, columns[0] - width), columns[-1] + width + 1)
    share = alpha[place].astype(np.float32)[..., None] / 255
    colour = picture[place].astype(np.float32)

    def mean(values: Plane) -> Plane:
        found = cv2.blur(values, (2 * width + 1, 2 * width + 1), borderType=cv2.BORDER_REFLECT)
        return np.asarray(found, np.float32).reshape(values.shape)

    object_near = mean(colour * share) / (mean(share) + 1e-5)
    other_near = mean(colour * (1 - share)) / (mean(1 - share) + 1e-5)
    found = object_near + share * (colour - share * object_near - (1 - share) * other_near)
    result = picture.copy()
    result[place] = np.where(soft[place][..., None], np.rint(found.clip(0, 255)).astype(np.uint8), picture[place])
    return result
