"""Factors of the learning rate at points that can be worked by hand."""

import pytest

from revseg.training.progress import Progress
from revseg.training.schedule import schedule_named


@pytest.mark.parametrize(
    ("name", "progress", "factor"),
    [
        ("one-cycle", 0.0, 1 / 25),
        ("one-cycle", 0.15, (1 / 25 + 1) / 2),
        ("one-cycle", 0.3, 1.0),
        ("one-cycle", 0.65, (1 + 1e-4) / 2),
        ("one-cycle", 1.0, 1e-4),
        ("cosine", 0.0, 1 / 25),
        ("cosine", 0.05, 1.0),
        ("cosine", 0.525, (1 + 1e-4) / 2),
        ("cosine", 1.0, 1e-4),
    ],
)
def test_factor(name: str, progress: float, factor: float) -> None:
    assert schedule_named(name)(progress) == pytest.approx(factor)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"training.schedule is linear; choose one of one-cycle, cosine"):
        schedule_named("linear")


def test_progress_is_that_of_the_limit_that_comes_first() -> None:
    assert Progress(steps=100, step=25).fraction == 0.25
    assert Progress(steps=100, minutes=2, step=25, seconds=90).fraction == 0.75
    assert Progress(steps=100, minutes=2, step=90, seconds=60).fraction == 0.9


def test_end() -> None:
    assert not Progress(steps=3, step=2).finished
    assert Progress(steps=3, step=3).finished
    assert Progress(steps=3, minutes=1, step=1, seconds=61).finished
