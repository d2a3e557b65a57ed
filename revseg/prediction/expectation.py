"""How good masks are by the probabilities that they are made of, where no truth is known; and so which frames to label next."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

# Frames that are named together lie this share of the video apart: one label helps all that is around it.
APART = 0.1


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


def least_sure(expected: Sequence[float], labelled: Collection[int], count: int = 3) -> list[int]:
    """The frames, at most ``count``, that a label would help most, worst first: those without one of which least is expected."""
    chosen: list[int] = []
    for frame in sorted(range(len(expected)), key=lambda frame: expected[frame]):
        if frame not in labelled and all(abs(frame - other) >= APART * len(expected) for other in chosen):
            chosen.append(frame)
    return chosen[:count]
