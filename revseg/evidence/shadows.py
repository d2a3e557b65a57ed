"""Shadows of objects. They move as the objects do, and evidence takes them for parts of these; the labels know better.

Where a pixel is darker than what is behind it, by DARKER in lightness, and hardly differs in colour, by COLOUR at most (CIE Lab,
``Background.differences``), it may be a shadow, or dark cloth. It is taken for a shadow where a classifier that has learned from
labels alone is sure of the ground.
"""

from __future__ import annotations

from torch import Tensor

COLOUR, DARKER = 8.0, (3.0, 60.0)
SURE = 2.0
"""By so much the ground is likelier than any object, in logarithms."""


def shadows(differences: Tensor, said: Tensor) -> Tensor:
    """Returns where shadows are, (h, w) bool.

    differences: (h, w, N), of which the first are by colour, lightness, its amount, and whether they are known; said: by labels,
    how likely each class is, logarithms (classes, h, w).
    """
    colour, lightness, _, known = differences.unbind(2)[:4]
    darker = (lightness < -DARKER[0]) & (lightness > -DARKER[1])
    return (known > 0) & (colour < COLOUR) & darker & (said[0] - said[1:].amax(0) > SURE)
