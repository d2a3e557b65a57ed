"""scripts/step_memory.py on a video of a few frames."""

import sys
from pathlib import Path

import pytest
import step_memory
from harness.memory import STATUS

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not STATUS.exists(), reason="peaks are read from Linux's /proc")
def test_a_table_beside_the_unet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fewer pixels oneDNN's workspaces for AMX count more than what the networks hold."""
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["step_memory.py", "--size", "16x288x320", "--page", str(page)])
    step_memory.main()
    rows = [line.split("|")[1:-1] for line in page.read_text().splitlines() if line.startswith(("| MONAI", "| revseg"))]
    assert len(rows) == 6
    peaks = [float(row[1]) for row in rows]
    assert peaks[0] == max(peaks)
    assert float(rows[0][2]) == 1
    assert [float(row[2]) for row in rows] == pytest.approx([peaks[0] / peak for peak in peaks], rel=0.2)
