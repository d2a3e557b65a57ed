"""How the classes of the labelled frames move, and what that says of the others: naive Bayes.

    p_c(x) <- normalised( p_c(x) L_c(m(x))^w ),     w = 1/2 + 1 / (2 L)

L_c: density, over the labelled frames, of the motion m (``motion``) within class c; L: their number. Labels carried
along flow go wrong where flow does; a car that looks like the barriers behind it still moves otherwise. Objects that keep
still in the labelled frames are as well served: then it is what moves that is none of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from revseg.data.flow import Field
from revseg.data.motion import Motion

BINS = 8
# Of the density: how far a motion that was never seen in a class counts against it.
FLOOR = 0.01
# No carried label is so sure that nothing else is heard.
LEAST = 0.02


class MotionLikelihood:
    """moved, labels: of the L labelled frames, (L, H, W) uint8 each."""

    def __init__(self, moved: Motion, labels: Tensor, classes: int) -> None:
        bins, of = _bins(moved), labels.numpy()
        counts = np.stack([np.bincount(bins[of == number], minlength=BINS) for number in range(classes)])
        neighbours = np.pad(counts, ((0, 0), (1, 1)), "edge")
        smooth = counts / 2 + neighbours[:, :-2] / 4 + neighbours[:, 2:] / 4
        seen = smooth.sum(1, keepdims=True)
        # A class that no labelled frame shows may move in any way.
        density = np.where(seen > 0, smooth / np.maximum(seen, 1), 1 / BINS)
        self._factors = ((density + FLOOR) ** ((1 + 1 / len(moved)) / 2)).astype(np.float32)

    def weigh(self, probabilities: Field, moved: Motion) -> Field:
        """(classes, H, W) of a frame with a motion (H, W); where they are all 0, nothing is known, and they stay."""
        weighed = probabilities.clip(min=LEAST) * self._factors[:, _bins(moved)]
        return np.where(probabilities.sum(0) > 0, weighed / weighed.sum(0), 0)


def _bins(moved: Motion) -> NDArray[np.intp]:
    return moved.astype(np.intp) * BINS // 256
