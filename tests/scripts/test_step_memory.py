"""scripts/step_memory.py on a video of a few frames."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "step_memory.py"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
def test_a_table_beside_the_unet(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    page = tmp_path / "page.md"
    command = [sys.executable, str(SCRIPT), "--size", "16x144x160", "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:-1] for line in page.read_text().splitlines() if line.startswith(("| MONAI", "| revseg"))]
    assert len(rows) == 6
    peaks = [float(row[1]) for row in rows]
    assert peaks[0] == max(peaks)
    assert float(rows[0][2]) == 1
    assert [float(row[2]) for row in rows] == pytest.approx([peaks[0] / peak for peak in peaks], rel=0.2)
