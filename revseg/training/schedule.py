"""How the learning rate moves: a factor of the peak rate as a function of progress in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

START, END = 1 / 25, 1e-4  # of the peak; those of the one-cycle policy in torch
WARM_UP = {"one-cycle": 0.3, "cosine": 0.05}

Schedule = Callable[[float], float]


def schedule_named(name: str) -> Schedule:
    """one-cycle: rises over the first 30 %, then falls; cosine: rises over the first 5 %, then falls."""
    if name not in WARM_UP:
        raise ValueError(f"training.schedule is {name}; choose one of {', '.join(WARM_UP)}")
    return lambda progress: rise_and_fall(progress, WARM_UP[name])


def rise_and_fall(progress: float, warm_up: float) -> float:
    """Half a cosine from START up to 1 at `warm_up`, then one down to END; Smith, Topin, arXiv:1708.07120."""
    if progress < warm_up:
        return _between(START, 1.0, progress / warm_up)
    return _between(1.0, END, min(1.0, (progress - warm_up) / (1 - warm_up)))


def _between(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + cos(pi * fraction)) / 2
