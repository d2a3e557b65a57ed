"""scripts/check_forecast.py on a case of a few frames."""

import sys
from pathlib import Path

import check_forecast
import pytest
from harness.memory import STATUS

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not STATUS.exists(), reason="peaks are read from Linux's /proc")
def test_forecast_beside_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "forecast.md"
    monkeypatch.setattr(check_forecast, "CASES", [("default", {}, (16, 96, 160), "training")])
    monkeypatch.setattr(sys, "argv", ["check_forecast.py", "--output", str(page)])
    check_forecast.main()
    shares = [float(line.split("|")[-2]) for line in page.read_text().splitlines() if line.startswith("| default")]
    assert len(shares) == 1
    assert 0.3 < shares[0] < 3  # so small, a step is mostly temporaries
