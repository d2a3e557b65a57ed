"""Runs a script as a user does."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def run_script(name: str, *arguments: object) -> str:
    """Returns what a script prints; fails where it does."""
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1", **os.environ}, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
