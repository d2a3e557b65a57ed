"""A real process that hangs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from revseg.runs.phases import phase
from revseg.runs.watchdog import watched

HANGS = """
import sys, time
from pathlib import Path
from revseg.runs.phases import phase
from revseg.runs.watchdog import watched

def hang_here():
    time.sleep(60)

with watched(0.5, Path(sys.argv[1]), lambda text: print(f"revseg: {text}", file=sys.stderr)):
    with phase("optical flow", total=4, unit="flow") as bar:
        bar.advance()
        hang_here()
"""


def test_a_process_that_hangs_ends_with_its_stacks_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("before\n")
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGS, str(log)], capture_output=True, text=True, timeout=60)
    assert time.monotonic() - began < 30
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"revseg: nothing went on for 0.5 s (training.watchdog) in optical flow after 1 of 4; {log} says where each thread was"
    )
    content = log.read_text()
    assert content.startswith("before\n")
    assert "in hang_here" in content
    assert content.count("(most recent call first)") >= 2  # of all threads


def test_what_goes_on_is_left_alone(tmp_path: Path) -> None:
    ended: list[str] = []
    with watched(0.4, tmp_path / "train.log", ended.append), phase("training", total=5, unit="step") as bar:
        for _ in range(5):
            time.sleep(0.15)
            bar.advance()
    assert ended == []
    assert (tmp_path / "train.log").read_text() == ""


def test_without_it_no_log_is_opened(tmp_path: Path) -> None:
    with watched(None, tmp_path / "train.log", print):
        pass
    assert not (tmp_path / "train.log").exists()
