"""What revseg is for: a few frames of a real video are labelled, and the masks of the others are as good as they were before."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from revseg.cli.main import train as main

DAVIS = Path(__file__).resolve().parents[2] / "shared" / "davis"
"""Two of its sequences are tried where they lie beside the checkout, the clip of the tests elsewhere."""

EXPECTED = {"libby": 0.938, "blackswan": 0.993} if DAVIS.is_dir() else {"barrel": 0.985}
"""J of the frames that were not labelled, height 96, on a processor without bfloat16."""


@pytest.mark.slow
@pytest.mark.parametrize("sequence", EXPECTED)
def test_masks_are_as_good_as_they_were(sequence: str, clip_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recommended recipe, with fewer frames and steps."""
    root = DAVIS if DAVIS.is_dir() else clip_root
    few = ["data.max_frames=5", "data.labelled_frames=2", "training.steps=10", "device=cpu", f"run_dir={tmp_path / 'run'}"]
    monkeypatch.setattr(sys, "argv", ["revseg-train", f"data.root={root}", f"data.sequence={sequence}", *few])
    main()
    measured = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measured["J"] == pytest.approx(EXPECTED[sequence], abs=0.01)
