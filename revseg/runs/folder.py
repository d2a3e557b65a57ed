"""What a run leaves behind, and where.

<run_dir>/config.yaml                 the settings, resolved
         /checkpoints/last.pt         to resume from, and what revseg-predict takes
         /checkpoints/best.pt         of the highest score so far
         /evidence/                   what moves in the videos of a dataset, for a guided network
         /tensorboard/
         /metrics.json                J, F, J&F, what J is expected without truth, frames to label next, seconds, memory
         /predictions/
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revseg.runs.atomic import replacing


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, path: str | Path) -> RunFolder:
        folder = cls(Path(path))
        try:
            folder.last.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror}; choose another folder with run_dir=") from error
        for leftover in folder.last.parent.glob(".*.partial"):  # of a run that was killed while it saved
            leftover.unlink()
        return folder

    def remove_unused(self) -> None:
        """Of a run that could not begin. A folder with anything in it stays."""
        for path in (self.last.parent, self.path):
            with suppress(OSError):
                path.rmdir()

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def evidence(self) -> Path:
        return self.path / "evidence"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    def write_config(self, text: str) -> None:
        _write(self.config, text)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        _write(self.path / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def checkpoint_at(path: Path) -> Path:
    """The file itself, or last.pt of a run's folder."""
    if not path.is_dir():
        return path
    last = RunFolder(path).last
    if not last.exists():
        raise ValueError(f"{path} is a folder without {last.relative_to(path)}; give checkpoint= a run's folder, or a file")
    return last


def newest_checkpoint(runs: Path) -> Path:
    """last.pt of the run in `runs` that was saved last."""
    found = sorted(runs.glob("*/checkpoints/last.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ValueError(
            f"there is no run with a checkpoint in {runs.resolve()}; train first (revseg-train), "
            "or give checkpoint= a run's folder, or a file"
        )
    return found[-1]


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
