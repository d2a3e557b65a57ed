"""How the classes of the labelled frames move, and what that says of the others: naive Bayes.

    p_c(x) <- normalised( (t p_c(x) + (1 - t) pi_c) L_c(m(x))^w ),     t = confidence(x)^trust,     w = 1/2 + 1 / (2 L)

L_c: density, over the labelled frames, of the motion m (``motion``) within class c; L: their number; pi_c: what is expected of a
pixel that nothing is known of, proportional to the share of class c to a power. Labels carried along flow go wrong where flow
does; a car that looks like the barriers behind it still moves otherwise. Objects that keep still in the labelled frames are as
well served: then it is what moves that is none of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.config import LikelihoodConfig
from revseg.evidence.flow import Field
from revseg.evidence.motion import Motion


class MotionLikelihood:
    """moved, labels: of the L labelled frames, (L, H, W) uint8 each."""

    def __init__(self, moved: Motion, labels: Tensor, classes: int, *, config: LikelihoodConfig) -> None:
        self.config = config
        # Frame by frame: bins of 8 bytes, three times over, would be 24 bytes a pixel of all labelled frames.
        counts = np.zeros((classes, config.bins), np.intp)
        for motion, of in zip(moved, labels.numpy(), strict=True):
            bins = self._bins(motion)
            for number in range(classes):
                counts[number] += np.bincount(bins[of == number], minlength=config.bins)
        neighbours = np.pad(counts, ((0, 0), (1, 1)), "edge")
        smooth = counts / 2 + neighbours[:, :-2] / 4 + neighbours[:, 2:] / 4
        seen = smooth.sum(1, keepdims=True)
        expected = counts.sum(1) ** config.prior
        self._prior = (expected / max(expected.sum(), 1)).astype(np.float32)[:, None, None]
        # A class that no labelled frame shows may move in any way.
        density = np.where(seen > 0, smooth / np.maximum(seen, 1), 1 / config.bins)
        self._factors = ((density + config.floor) ** ((1 + 1 / len(moved)) / 2)).astype(np.float32)

    def weigh(self, probabilities: Field, confidence: Field, moved: Motion) -> Field:
        """Returns the weighed probabilities (classes, H, W) of a frame; confidence in them, 0 to 1, and motion: (H, W). Where all
        probabilities are 0, nothing is known, and they stay."""
        trust = confidence**self.config.trust
        expected = trust * probabilities + (1 - trust) * self._prior
        weighed = expected.clip(min=self.config.least) * self._factors[:, self._bins(moved)]
        return np.where(probabilities.sum(0) > 0, weighed / weighed.sum(0), 0)

    def _bins(self, moved: Motion) -> NDArray[np.intp]:
        return moved.astype(np.intp) * self.config.bins // 256
