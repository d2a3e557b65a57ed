"""Hydra's launcher of submitit, which starts its jobs here as it does on a Slurm cluster, with the signal that Slurm sends."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harm import wait_for
from tests.little import arguments, write_video

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow

pytest.importorskip("submitit", reason="submitit is not installed (pip install 'revseg[slurm]')")


def test_a_job_that_is_preempted_is_queued_again_and_goes_on(tmp_path: Path) -> None:
    write_video(tmp_path)
    given = [word for word in arguments(tmp_path, tmp_path) if not word.startswith("run_dir=")]
    sweep, run = tmp_path / "sweep", tmp_path / "sweep" / "0"
    command = [sys.executable, "-m", "revseg.train", "-m", "hydra/launcher=submitit_local", *given, "training.steps=100"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*command, f"hydra.sweep.dir={sweep}", "placements=1"], env=environment, cwd=tmp_path) as process:
        log = run / "train.log"
        wait_for(lambda: log.exists() and "training: 100 steps" in log.read_text() or process.poll() is not None)
        os.kill(json.loads((run / ".lock").read_text())["pid"], signal.SIGUSR2)
        assert process.wait(120) == 0
    (step,) = re.findall(r"resuming \S+ on cpu, step (\d+) of 100", log.read_text())
    assert int(step) > 0
    assert json.loads((run / "metrics.json").read_text())["steps"] == 100
    sessions = json.loads((run / "run.json").read_text())["sessions"]
    assert [session["state"] for session in sessions] == ["interrupted", "finished"]
