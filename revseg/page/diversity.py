"""Which frames to label first: those that stand for the others, k-medoids of their features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST = 400
"""Frames that are looked at, evenly spaced: all distances between them are computed."""
ROUNDS = 20


def representatives(features: Sequence[NDArray[np.float32]], count: int) -> list[int]:
    """Returns at most ``count`` frames that together are nearest to all frames, in order.

    Begins with the frame nearest to all others and then always the frame farthest from those chosen; then each cluster's medoid,
    the member with the least sum of distances to the others, until nothing changes.
    """
    if not features:
        return []
    taken = np.unique(np.linspace(0, len(features) - 1, min(MOST, len(features))).round().astype(int))
    points = np.stack([features[index] for index in taken]).astype(np.float64)
    norms = (points**2).sum(1)
    distances = np.sqrt(np.maximum(0, norms[:, None] + norms - 2 * points @ points.T))
    chosen = [int(distances.sum(0).argmin())]
    while len(chosen) < min(count, len(taken)):
        chosen.append(int(distances[chosen].min(0).argmax()))
    for _ in range(ROUNDS):
        cluster = distances[chosen].argmin(0)
        members = [np.flatnonzero(cluster == number) for number in range(len(chosen))]
        better = [
            int(own[distances[np.ix_(own, own)].sum(0).argmin()]) if len(own) else old
            for own, old in zip(members, chosen, strict=True)
        ]
        if better == chosen:
            break
        chosen = better
    return sorted({int(taken[index]) for index in chosen})
