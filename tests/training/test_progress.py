"""Rounds of a run: where each begins and ends, in steps, in time, and when it is ended early."""

import pytest

from revseg.training.progress import Progress, Round


def after_the_first(labels: str = "b", **more: float) -> Progress:
    """A run of 60 steps that took 90 s, and has begun a second round."""
    progress = Progress(steps=60, finetune_steps=15, **more)  # type: ignore[arg-type]
    progress.begin_round("a", 5)
    progress.step, progress.seconds = 60, 90.0
    assert progress.finished
    progress.begin_round(labels, 6)
    return progress


def test_a_round_begins_where_the_one_before_ended() -> None:
    progress = after_the_first()
    assert progress.rounds == [Round(0, 0.0, "a", 5), Round(60, 90.0, "b", 6)]  # type: ignore[call-arg]
    assert (progress.last, progress.fraction, str(progress)) == (75, 0.0, "step 60 of 75, round 2")
    progress.step = 66
    assert progress.fraction == pytest.approx(0.4)
    progress.step, progress.seconds = 75, 110.0
    assert progress.finished
    assert progress.told() == [
        {"steps": 60, "seconds": 90.0, "labelled_frames": 5},
        {"steps": 15, "seconds": 20.0, "labelled_frames": 6},
    ]


def test_a_round_has_the_limit_in_minutes_for_itself() -> None:
    progress = after_the_first(minutes=1.5)
    progress.step, progress.seconds = 61, 90.0 + 45
    assert progress.fraction == pytest.approx(0.5)
    progress.seconds += 45
    assert progress.finished


def test_a_round_whose_labels_change_before_its_end_begins_anew() -> None:
    progress = after_the_first()
    progress.step, progress.seconds = 70, 105.0
    progress.begin_round("c", 7)
    assert progress.rounds[1:] == [Round(70, 105.0, "c", 7)]  # type: ignore[call-arg]
    assert progress.last == 85
    first = Progress(steps=60, finetune_steps=15, step=55)
    first.begin_round("b", 6)
    assert (len(first.rounds), first.last) == (1, 115)


def test_the_early_end_of_a_round_is_none_of_the_next() -> None:
    progress = Progress(steps=60, finetune_steps=15, step=30, end=30)
    progress.begin_round("b", 6)
    assert (progress.last, len(progress.rounds)) == (45, 2)
