"""Threads that wait for others give their core to who needs it, also in another process; only the commands ask for it."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )


def spins(code: str, **environment: str) -> str:
    """What libgomp itself says that it took."""
    found = [line.split("'")[1] for line in run(code, **environment).stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not found:
        pytest.skip("PyTorch has another OpenMP than libgomp here")
    return found[0]


SLEEP_EARLY = "from revseg.cli.openmp import sleep_early; sleep_early(); import torch"


def test_importing_changes_nothing() -> None:
    """Neither the environment, nor is PyTorch, which reads it, loaded before one asks for it."""
    for module in ("revseg", "revseg.cli.job", "revseg.cli.main", "revseg.config"):
        code = f"import os, sys; old = dict(os.environ); import {module}; print(old == os.environ, 'torch' in sys.modules)"
        assert run(code).stdout.split() == ["True", "False"], module


def test_a_library_leaves_threads_as_they_are() -> None:
    assert int(spins("import revseg; revseg.RevSegNet")) > 5000


def test_those_of_a_command_wait_for_a_short_while() -> None:
    assert spins(SLEEP_EARLY) == "5000"


def test_who_chose_otherwise_keeps_it() -> None:
    assert spins(SLEEP_EARLY, GOMP_SPINCOUNT="5") == "5"
    assert int(spins(SLEEP_EARLY, OMP_WAIT_POLICY="active")) > 5000
