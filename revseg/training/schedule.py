"""How the learning rate moves: a factor of the peak rate as a function of progress in [0, 1]."""

from __future__ import annotations

from math import cos, pi

START, END, WARM_UP = 1 / 25, 1e-4, 0.3  # those of the one-cycle policy in torch


def one_cycle(progress: float) -> float:
    """Half a cosine from START up to 1 at WARM_UP, then one down to END; Smith, Topin, arXiv:1708.07120."""
    if progress < WARM_UP:
        return _between(START, 1.0, progress / WARM_UP)
    return _between(1.0, END, min(1.0, (progress - WARM_UP) / (1 - WARM_UP)))


def _between(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + cos(pi * fraction)) / 2
