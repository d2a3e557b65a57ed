"""scripts/evidence_speed.py on a video of a few frames."""

import json
import sys
from pathlib import Path

import evidence_speed
import pytest

pytestmark = pytest.mark.slow


def test_a_line_a_method(davis: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--root", str(davis / "davis2016"), "--sequences", "one", "--labelled", "2", "--methods", "opencv,torch"]
    small = ["--height", "24", "--max-frames", "4", "evidence.flow.least_height=40"]
    monkeypatch.setattr(sys, "argv", ["evidence_speed.py", *given, *small])
    evidence_speed.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["flow"] for line in lines] == ["opencv", "torch"]
    for line in lines:
        assert line["labelled"] == 2
        assert 0 <= line["J"] <= 1
        assert {"optical flow", "carrying labels", "motion", "smoothing evidence"} <= set(line["seconds"])
