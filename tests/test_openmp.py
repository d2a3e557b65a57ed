"""Threads that wait for others give their core to who needs it, also in another process."""

import os
import subprocess
import sys

import pytest


def spins(code: str, **environment: str) -> str:
    """What libgomp itself says that it took."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split("'")[1] for line in run.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not found:
        pytest.skip("PyTorch has another OpenMP than libgomp here")
    return found[0]


def test_they_wait_for_a_short_while() -> None:
    assert spins("import revseg") == "1000"
    assert int(spins("import torch")) > 1000


def test_who_chose_otherwise_keeps_it() -> None:
    assert spins("import revseg", GOMP_SPINCOUNT="5") == "5"
    assert int(spins("import revseg", OMP_WAIT_POLICY="active")) > 1000
