"""Early stopping: a loss that falls goes on, one that stays ends the training, after the learning rate has fallen."""

import json
import sys

import pytest

from revseg.cli.main import train
from revseg.training.checkpoint import load
from revseg.training.plateau import on_plateau
from revseg.training.progress import Progress
from tests.little import arguments, write_video


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0] * 7, False),  # too few to tell
        ([1.0] * 8, True),
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], False),
        ([1.0, 1.0, 1.0, 1.0, 0.97, 0.97, 0.97, 0.97], False),  # 3 % lower
        ([1.0, 1.0, 1.0, 1.0, 0.99, 0.99, 0.99, 0.99], True),
        ([0.1, 0.2, 0.1, 0.2, 0.2, 0.1, 0.2, 0.1], True),
        ([9.0] * 4 + [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], False),  # only the last 2 x 4 count
    ],
)
def test_plateau_of_four(losses, expected):
    assert on_plateau(losses, 4) is expected


def test_an_early_end_runs_through_the_rest_of_the_schedule():
    progress = Progress(steps=100, step=20)
    assert progress.fraction == 0.2
    progress.end = 30
    assert progress.fraction == pytest.approx(2 / 3)
    progress.step = 30
    assert progress.finished


def test_a_training_that_learns_nothing_more_ends_early(tmp_path, monkeypatch):
    """Rates so small that the loss stays as it is: 2 x 3 steps to see it, 3 to end; a resumed run has ended, too."""
    write_video(tmp_path)
    still = ["training.optimizer.kernel_rate=1e-9", "training.optimizer.rate=1e-9", "training.patience=3", "training.steps=60"]
    given = arguments(
        tmp_path,
        tmp_path / "run",
        *still,
        "augment.gain=0",
        "augment.bias=0",
        "augment.offset=false",
        "augment.rotation=0",
        "augment.scale=0",
        "augment.shear=0",
        "augment.translation=0",
        "evidence=none",
    )
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["revseg-train", *given])
        train()
        assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == 9
    saved = load(tmp_path / "run" / "checkpoints" / "last.pt")
    assert (saved.end, len(saved.losses)) == (9, 6)
