"""How the classes of the labelled frames move, and what that says of the others: naive Bayes.

    p_c(x) <- normalised( (t p_c(x) + (1 - t) pi_c) L_c(m(x))^w ),     t = confidence(x)^trust,     w = 1/2 + 1 / (2 L)

L_c: density, over the labelled frames, of the motion m (``motion``) within class c; L: their number; pi_c: what is expected of a
pixel that nothing is known of, proportional to the share of class c to a power. Labels carried along flow go wrong where flow
does; a car that looks like the barriers behind it still moves otherwise. Objects that keep still in the labelled frames are as
well served: then it is what moves that is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from revseg.evidence.config import LikelihoodConfig
from revseg.evidence.fields import Field, Fields


class MotionLikelihood:
    """moved, labels: of the labelled frames, (H, W) uint8 each, on the CPU."""

    def __init__(self, moved: Iterable[Tensor], labels: Tensor, classes: int, *, config: LikelihoodConfig) -> None:
        self.config = config
        bin_of = np.arange(256) * config.bins // 256
        # Frame by frame: bins of 8 bytes, three times over, would be 24 bytes a pixel of all labelled frames.
        counts = np.zeros((classes, config.bins), np.intp)
        for motion, of in zip(moved, labels.numpy(), strict=True):
            bins = bin_of[motion.numpy()]
            for number in range(classes):
                counts[number] += np.bincount(bins[of == number], minlength=config.bins)
        neighbours = np.pad(counts, ((0, 0), (1, 1)), "edge")
        smooth = counts / 2 + neighbours[:, :-2] / 4 + neighbours[:, 2:] / 4
        seen = smooth.sum(1, keepdims=True)
        expected = counts.sum(1) ** config.prior
        self._prior = (expected / max(expected.sum(), 1)).astype(np.float32)
        # A class that no labelled frame shows may move in any way.
        density = np.where(seen > 0, smooth / np.maximum(seen, 1), 1 / config.bins)
        # Of each byte of motion, so that no pixel's bin need be computed.
        self._factors = ((density + config.floor) ** ((1 + 1 / len(labels)) / 2)).astype(np.float32)[:, bin_of]
        self._trust = ((np.arange(256) / 255) ** config.trust).astype(np.float32)[None]

    def weigh(self, evidence: Tensor, moved: Tensor, fields: Fields) -> Field:
        """Returns the weighed probabilities (classes, H, W) of a frame, whose evidence is (classes + 1, H, W) uint8; moved: its
        motion (H, W) uint8. Where all probabilities are 0, nothing is known, and they stay."""
        probabilities, trust = fields.from_bytes(evidence[:-1]), fields.table(self._trust, evidence[-1])[0]
        known, doubt = probabilities.sum(0) > 0, 1 - trust
        weighed = fields.table(self._factors, moved)
        for plane, probability, prior in zip(weighed, probabilities, self._prior.tolist(), strict=True):
            plane *= (trust * probability + prior * doubt).clip(min=self.config.least)
        return weighed * (known / weighed.sum(0))

    def weigh_anew(self, weighed: Tensor, moved: Tensor, fields: Fields, *, before: MotionLikelihood, had_moved: Tensor) -> Field:
        """Returns probabilities as ``weigh`` would have, of those that ``before`` weighed, (classes, H, W) uint8, when the motion
        was thought to be another."""
        probabilities = fields.from_bytes(weighed)
        known = probabilities.sum(0) > 0
        found = probabilities.clip(min=0.5 / 255)  # what was rounded to 0 can come back
        found *= fields.table(self._factors, moved) / fields.table(before._factors, had_moved)
        return found * (known / found.sum(0))
