"""Early stopping: when the loss has stopped falling, the training is brought to its end."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

# The mean of as many steps before must be undercut by this share; noise of augmentation alone undercuts by less.
LEAST_IMPROVEMENT = 0.02


def on_plateau(losses: Sequence[float], patience: int) -> bool:
    """Whether the mean of the last ``patience`` losses is hardly below that of the ``patience`` before them."""
    if len(losses) < 2 * patience:
        return False
    before, now = fmean(losses[-2 * patience : -patience]), fmean(losses[-patience:])
    return now > (1 - LEAST_IMPROVEMENT) * before
