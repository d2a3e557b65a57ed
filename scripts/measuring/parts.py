"""The parts of scripts/gpu, the most important first: whatever runs out of time loses the last ones."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

PYTHON = sys.executable
PATIENCE = 5
"""Times as long may a part take in a rehearsal: on machines that are slower, and busy."""


@dataclass(frozen=True)
class Part:
    """One process."""

    name: str
    seconds: float
    """After which it is ended."""
    command: list[str]
    needs: Path | None = None
    """A file or folder without which it is left out."""
    reads: Path | None = None
    """A JSON file that the process writes; None: what it found is the JSON of its last line, if that is any."""


def parts(device: str, small: bool, root: Path, folder: Path) -> list[Part]:
    """Returns the parts. root: of DAVIS; folder: for what the processes write."""
    where = ["--device", device, *(["--small"] if small else [])]

    def module(name: str, seconds: float, *more: str) -> Part:
        return Part(name, seconds, [PYTHON, "-m", f"measuring.{name.split(' ')[0]}", *more, *where])

    def training(height: int, seconds: float) -> Part:
        name = f"run {height}"
        sizes = ["data.max_frames=4", "training.steps=2", "placements=1"] if small else ["data.max_frames=80"]
        command = [PYTHON, "-m", "revseg.train", "data=davis2016", f"data.root={root}", "data.sequence=dance-twirl"]
        command += ["data.labelled_frames=2" if small else "data.labelled_frames=5", f"data.height={height}", *sizes]
        run = folder / name.replace(" ", "-")
        return Part(name, seconds, [*command, f"run_dir={run}"], needs=root, reads=run / "metrics.json")

    tests = ["tests/reversible/kernels"] if device == "cuda" else ["tests/reversible/force/test_verify.py"]
    heights = (32,) if small else (96, 480)
    found = [
        Part("kernels", 90, [PYTHON, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]),
        module("agreement", 60),
        module("steps", 90, "--cases", "guided", "four", "inference"),
        *(training(height, 90) for height in heights),
        module("steps film", 90, "--cases", "film"),
        module("blocks", 60),
        _script("step_memory", 60, device, "--size", "8x64x64" if small else "40x480x854"),
    ]
    if device == "cuda":
        tiles = folder / "tiles.json"
        # The levels of the recommended network; those of 4 channels are in the table.
        tune = [
            PYTHON,
            "scripts/tune_kernels.py",
            "--channels",
            "1",
            "--state-dtype",
            "int16",
            "--adjoint-dtype",
            "float16",
            "--seconds",
            "60",
        ]
        found += [Part("tiles", 100, [*tune, "--output", str(tiles)], reads=tiles)]
        found += [_script("check_forecast", 120, device, "--output", str(folder / "forecast.md"))]
    return [replace(part, seconds=PATIENCE * part.seconds) for part in found] if small else found


def _script(name: str, seconds: float, device: str, *more: str) -> Part:
    return Part(name, seconds, [PYTHON, f"scripts/{name}.py", "--device", device, *more])
