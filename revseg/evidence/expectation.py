"""How good masks are by the probabilities that they are made of, where no truth is known; and so which frames to label next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def expected_similarity(probabilities: Tensor, classes: Tensor) -> float:
    """Region similarity J to be expected of a mask, all objects together: the expected intersection over the expected union,

        sum_c sum_{x in M_c} p_c(x)  /  sum_c ( |M_c| + sum_{x not in M_c} p_c(x) ),     c = 1, 2, ...

    probabilities: (O, H, W); classes: (H, W), the mask, M_c being the pixels of class c. 1 where nothing is expected.
    """
    inside, union = probabilities.new_zeros(2)
    for number, probability in enumerate(probabilities[1:], 1):
        mask = classes == number
        overlap = (probability * mask).sum()
        inside = inside + overlap
        union = union + mask.sum() + probability.sum() - overlap
    return float(torch.where(union > 0, inside / union, 1.0))


TRUST = 0.05
"""Power of the confidence in evidence. Frames are ordered by J best from 0.02 to 0.1 (docs/notebook/one_label.md)."""
ABSENT = 0.85
"""J to be expected where objects are held for gone (``present``): the share of such frames in which none is, measured on clips of
objects that leave and return (docs/notebook/one_label.md)."""


def trust(probabilities: Tensor, confidence: Tensor) -> float:
    """How far probabilities that come from evidence can be trusted: the confidence in it, where objects are expected,

        ( sum_x c(x) (1 - p_0(x)) / sum_x (1 - p_0(x)) )^TRUST

    probabilities: (O, H, W), plane 0 the background; confidence: (H, W), 0 to 1. 1 where no object is expected. Probabilities
    that were made to agree in time are sure of themselves also where all agree in what is wrong; the way there and back is not.
    """
    objects = probabilities[1:].sum(0)
    total = objects.sum()
    return float(torch.where(total > 0, (confidence * objects).sum() / total, 1.0) ** TRUST)


def least_sure(expected: Sequence[float], labelled: Collection[int], count: int = 3) -> list[int]:
    """Which frames to label next, at most ``count``, worst first: of each stretch without labels, all of which a label helps, the
    frame of which least is expected.
    """
    ends = [-1, *sorted(labelled), len(expected)]
    stretches = (range(first + 1, stop) for first, stop in pairwise(ends))
    worst = [min(stretch, key=lambda frame: expected[frame]) for stretch in stretches if stretch]
    return sorted(worst, key=lambda frame: expected[frame])[:count]
