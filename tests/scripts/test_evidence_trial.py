"""scripts/evidence_trial.py on a video of a few frames."""

import json
import sys
from pathlib import Path

import evidence_trial
import pytest
import torch

pytestmark = pytest.mark.slow


def test_a_line_a_power(davis: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--root", str(davis / "davis2016"), "--sequences", "one", "--powers", "0,1", "--max-frames", "4"]
    monkeypatch.setattr(sys, "argv", ["evidence_trial.py", *given, "evidence.flow.least_height=40"])
    evidence_trial.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["power"] for line in lines] == [0, 1]
    assert all(0 <= line["J"] <= 1 for line in lines)


def test_looks_find_an_object_that_evidence_has_lost() -> None:
    """A red square on a blue ground, which the evidence has in the labelled frame and in no other."""
    volume = torch.zeros(3, 3, 48, 64, dtype=torch.uint8)
    volume[2] = 200
    volume[:, :, 16:32, 16:32] = torch.tensor([200, 0, 0], dtype=torch.uint8)[:, None, None, None]
    objects = torch.full((3, 48, 64), 0.5)
    objects[0] = 0
    objects[0, 16:32, 16:32] = 1
    odds = evidence_trial.looks(evidence_trial.features(volume), objects, (0,), seed=0)
    assert (odds[2, 18:30, 18:30] > 0).all()
    assert (odds[2, :8] < 0).all()
