"""What a run leaves behind, and where.

<run_dir>/config.yaml                 the settings, resolved
         /run.json                    where it came from: command, versions, hashes of its inputs, state
         /metrics.json                J, F, J&F, what J is expected without truth, frames to label next, seconds, memory
         /report.html                 the same with pictures and curves
         /train.log                   what it said
         /.hydra/                     the settings as Hydra composed them
         /checkpoints/last.pt         to resume from, and what revseg-predict takes
         /evidence/                   cached by the content of what it comes from
         /tensorboard/
         /predictions/
         /data/                       a video that revseg made itself, for the demo
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from revseg.runs import lock
from revseg.runs.atomic import make_folder, remove_leftovers, replacing
from revseg.runs.interruption import STOPPED

HYDRA_FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")
"""What Hydra writes into .hydra before a run starts."""

SUBFOLDERS = (".hydra", "checkpoints", "evidence", "tensorboard", "predictions", "data")
"""What a run makes in its folder."""


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, path: str | Path) -> RunFolder:
        """Makes the folder if it is missing, and removes half-written files of a run that was killed.

        Call it under the lock: half-written files of a run at work look the same.
        """
        folder = cls(Path(path))
        try:
            make_folder(folder.last.parent)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror}; choose another folder with run_dir=") from error
        for parent in (folder.path, folder.last.parent):
            remove_leftovers(parent)
        return folder

    def remove_unused(self) -> None:
        """Removes the folder of a run that never started; a folder with anything else in it stays.

        What a start leaves counts as nothing: .lock, .hydra/, train.log, run.json and empty subfolders. A folder that
        another process holds stays as well.
        """
        with suppress(ValueError, OSError):
            if lock.holds(self.path):
                self._remove_unused()
            elif self._is_unused():
                with lock.locked(self.path, purpose="removing an unused run"):
                    self._remove_unused()

    def remove_after(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Removes the folder after an error in a run that never started; one that was interrupted stays, to be resumed."""
        if kind is None or issubclass(kind, STOPPED):
            return
        self.config.unlink(missing_ok=True)
        shutil.rmtree(self.evidence, ignore_errors=True)
        self.remove_unused()

    def share_evidence(self, origin: RunFolder) -> None:
        """Takes the flow and evidence of another run: the same files by further names, copies where the file system has no such.

        They are named by their content, appear whole, and of flow, which grows, each record has a checksum: both runs may go on.
        """
        for path in sorted(origin.evidence.glob("[!.]*")):
            if not (mine := self.evidence / path.name).exists():
                _link(path, mine)

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        return self.path / "train.log"

    @property
    def hydra(self) -> Path:
        return self.path / ".hydra"

    @property
    def last(self) -> Path:
        return self.path / "checkpoints" / "last.pt"

    @property
    def evidence(self) -> Path:
        return self.path / "evidence"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def data(self) -> Path:
        return self.path / "data"

    def write_config(self, text: str) -> None:
        _write(self.config, text)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        _write(self.path / "metrics.json", json.dumps(metrics, indent=2) + "\n")

    def _is_unused(self) -> bool:
        if not self.path.is_dir():
            return False
        files = {self.path / lock.NAME, self.log, self.run_json, *(self.hydra / name for name in HYDRA_FILES)}
        return all(self._is_ours(path) or (path in files and not path.is_symlink()) for path in self.path.rglob("*"))

    def _is_ours(self, path: Path) -> bool:
        """Whether it is a folder that a run makes."""
        return path.is_dir() and not path.is_symlink() and path.relative_to(self.path).parts[0] in SUBFOLDERS

    def _remove_unused(self) -> None:
        """Removes what a start leaves, under the lock. Raises OSError where something else appears meanwhile."""
        if self.last.parent.is_dir() and not any(self.last.parent.iterdir()):
            self.last.parent.rmdir()  # from a folder of something else too
        if not self._is_unused():
            return
        for file in (self.log, self.run_json, *(self.hydra / name for name in HYDRA_FILES)):
            file.unlink(missing_ok=True)
        for folder in sorted(self.path.rglob("*/"), reverse=True):  # the deepest first
            folder.rmdir()
        (self.path / lock.NAME).unlink(missing_ok=True)
        self.path.rmdir()


def claim_new(runs: Path) -> RunFolder:
    """Makes a new folder named by date and time in `runs`: a second one in the same second ends in -2."""
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = runs / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                path.mkdir()  # makes it or fails: of two processes one gets it
                return RunFolder(path)
    except OSError as error:
        raise OSError(f"cannot write {runs}: {error.strerror}; choose another folder with run_dir=") from error
    raise AssertionError("numbers do not end")


def checkpoint_at(path: Path) -> Path:
    """The file itself, or last.pt of a run's folder."""
    if not path.is_dir():
        return path
    last = RunFolder(path).last
    if not last.exists():
        raise ValueError(f"{path} is a folder without {last.relative_to(path)}; give checkpoint= a run's folder, or a file")
    return last


def enclosing_run(path: Path) -> Path | None:
    """The folder of the run that a path lies in; None where it lies in none."""
    parents = (Path(os.path.abspath(path))).parents
    return next((folder for folder in parents if (folder / lock.NAME).is_file() and RunFolder(folder).config.is_file()), None)


def newest_checkpoint(runs: Path) -> Path:
    """last.pt of the run in `runs` that was started or resumed last: by the numbers of their starts, whatever the clock says.

    Of runs without a number, and of two that started together, the one that was saved last.
    """
    found = sorted(runs.glob("*/checkpoints/last.pt"), key=_age)
    if not found:
        raise ValueError(
            f"there is no run with a checkpoint in {runs.resolve()}; train first (revseg-train), "
            "or give checkpoint= a run's folder, or a file"
        )
    return found[-1]


def _age(last: Path) -> tuple[int, float]:
    return start_of(last.parents[1]), last.stat().st_mtime


def start_of(run: Path) -> int:
    """The number of a run's latest start among all starts beside it; 0 where it is not known."""
    try:
        number = json.loads(RunFolder(run).run_json.read_text(encoding="utf-8"))["start"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return number if isinstance(number, int) else 0


def _link(path: Path, other: Path) -> None:
    """Gives a file a further name. What cannot be had is computed again."""
    with suppress(OSError):
        make_folder(other.parent)
        try:
            os.link(path, other)
        except OSError:
            with replacing(other) as temporary:
                shutil.copyfile(path, temporary)


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
