"""revseg-plan on a real video, as a process."""

import subprocess
import sys

import pytest

from revseg.demo.film import generate_demo

pytestmark = pytest.mark.slow


def plan(*arguments):
    command = [sys.executable, "-c", "from revseg.cli.main import plan; plan()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_table(tmp_path):
    video, _ = generate_demo(tmp_path, frames=9, height=48, width=80)
    result = plan(video, "data.height=24", "device=cpu")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "9 frames of 40 x 24, cpu"
    assert sum(line.strip().startswith("140 GB card") for line in lines) == 2  # as configured, and smallest
    assert sum(line.startswith("total  ") for line in lines) == 2


def test_no_video(tmp_path):
    result = plan(tmp_path / "none.mp4")
    assert result.returncode == 1
    assert result.stderr.startswith("revseg: ")
    assert "none.mp4" in result.stderr
    assert "Traceback" not in result.stderr
