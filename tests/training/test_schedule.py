"""Factors of the learning rate at points that can be worked by hand."""

import pytest

from revseg.training.progress import Progress
from revseg.training.schedule import one_cycle


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 1 / 25), (0.15, (1 / 25 + 1) / 2), (0.3, 1.0), (0.65, (1 + 1e-4) / 2), (1.0, 1e-4)],
)
def test_factor(progress: float, factor: float) -> None:
    assert one_cycle(progress) == pytest.approx(factor)


def test_it_rises_once_and_falls_once() -> None:
    factors = [one_cycle(step / 100) for step in range(101)]
    assert factors[:31] == sorted(factors[:31])
    assert factors[30:] == sorted(factors[30:], reverse=True)


def test_progress_is_that_of_the_limit_that_comes_first() -> None:
    assert Progress(steps=100, step=25).fraction == 0.25
    assert Progress(steps=100, minutes=2, step=25, seconds=90).fraction == 0.75
    assert Progress(steps=100, minutes=2, step=90, seconds=60).fraction == 0.9


def test_end() -> None:
    assert not Progress(steps=3, step=2).finished
    assert Progress(steps=3, step=3).finished
    assert Progress(steps=3, minutes=1, step=1, seconds=61).finished
