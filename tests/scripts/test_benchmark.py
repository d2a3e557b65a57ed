"""scripts/benchmark.py on tiny volumes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS

pytestmark = pytest.mark.slow


def test_a_quick_run_measures_resumes_and_writes_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = [sys.executable, str(SCRIPTS / "benchmark.py"), "--quick", "--threads", "1", "--output", str(page)]
    command += ["--rows", "one-step", "stored"]
    first = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert first.returncode == 0, first.stderr
    file = tmp_path / "page" / "cpu" / "one-step" / "tiny.json"
    cases = json.loads(file.read_text())["cases"]
    assert [case["peer"] for case in cases] == ["revseg", "revseg-int16"]
    for case in cases:
        assert case["peak"] > 0
        assert len(case["seconds"]) == 2
    assert "| same network, plain autograd | 32 |" in page.read_text()

    before = file.stat().st_mtime_ns
    second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert second.returncode == 0, second.stderr
    assert file.stat().st_mtime_ns == before, "measured twice"
