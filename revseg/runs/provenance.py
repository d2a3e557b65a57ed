"""Where a run came from: run.json names its commands, versions and inputs, and says how it ended."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from revseg.runs.atomic import replacing
from revseg.runs.folder import start_of
from revseg.runs.interruption import STOPPED

PACKAGES = {
    "revseg": ("revseg",),
    "torch": ("torch",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "av": ("av",),
    "hydra": ("hydra-core",),
}
"""Names in run.json, and the distributions that may carry them."""

NAMED = 5
"""Files that a sentence names at most."""


@dataclass(frozen=True)
class Inputs:
    """What a run reads, by content."""

    path: str | None = None
    """The video, absolute: a run may be resumed from another working directory. Of several the first, and how many more."""
    video: str | None = None
    """SHA-256 of the video; None without one. Of several that of their names and hashes."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """File name of a label -> SHA-256 of the file."""

    @classmethod
    def read(cls, video: Path | None = None, labels: Path | None = None) -> Inputs:
        """Hashes a video (a file, or a folder of frames) and labels (a folder, or one file)."""
        return cls(
            path=None if video is None else str(video.absolute()),
            video=None if video is None else digest_of(video),
            labels={} if labels is None else {file.name: digest_of(file) for file in _files(labels)},
        )

    @classmethod
    def together(cls, inputs: Mapping[str, Inputs]) -> Inputs:
        """Returns the inputs of several videos, by their names."""
        first, total = next(iter(inputs.values())), hashlib.sha256()
        for name, each in inputs.items():
            total.update(f"{name}\0{each.video}\0".encode())
        return cls(
            path=f"{first.path} and {len(inputs) - 1} more" if len(inputs) > 1 else first.path,
            video=total.hexdigest(),
            labels={f"{name}/{file}": digest for name, each in inputs.items() for file, digest in each.labels.items()},
        )


@dataclass(frozen=True)
class Changes:
    """How inputs differ from those that a run read before. True where anything differs."""

    video: bool = False
    edited: tuple[str, ...] = ()
    """Files of labels that have other contents."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.video or bool(self.edited or self.added or self.removed)

    def sentences(self) -> list[str]:
        """What to tell, without full stops: the label file 00012.png changed since the run last read it."""
        told = ["the video changed since the run last read it"] if self.video else []
        for files, one, several in (
            (self.edited, "changed", "changed"),
            (self.added, "was added", "were added"),
            (self.removed, "was removed", "were removed"),
        ):
            if len(files) == 1:
                told.append(f"the label file {files[0]} {one} since the run last read it")
            elif files:
                named = ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED} more" if len(files) > NAMED else "")
                told.append(f"the label files {named} {several} since the run last read them")
        return told


class Provenance:
    """Keeps run.json while a process works on a run: `with Provenance(path, ...) as record:`, and `record.start()` in it.

    The document holds the facts of its latest process, and a list "sessions" with those of each. `record.changes`
    says which inputs differ from those of the session before. A process that is refused before it starts is not recorded.
    after: run.json of the run that this one begins with; None: with none.
    """

    def __init__(
        self,
        path: Path,
        *,
        inputs: Inputs,
        device: str,
        seed: int | None,
        command: list[str] | None = None,
        after: Path | None = None,
    ) -> None:
        self.path, self.inputs, self.device, self.seed, self.command = path, inputs, device, seed, command
        self.after = after
        self.changes = Changes()
        self._sessions: list[dict[str, Any]] = []
        self._session: dict[str, Any] | None = None

    def __enter__(self) -> Provenance:
        self._sessions = _read(self.path).get("sessions", [])
        before = self.path if self._sessions or self.after is None else self.after
        self.changes = changed_since(before, labels=self.inputs.labels, video=self.inputs.video)
        self._begun = _now()
        return self

    def start(self, number: int = 1) -> None:
        """Writes that the process has begun its work. number: of the round of the run (``Progress``)."""
        for session in self._sessions:
            if session["state"] == "running":  # killed: it could not say so
                session["state"] = "interrupted"
        self._session = self._facts() | {"round": number}
        self._sessions.append(self._session)
        self._write()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is None:
            return
        state = "interrupted" if isinstance(error, STOPPED) else "failed"
        self._session["state"] = "finished" if error is None else state
        told = "ended by its launcher" if isinstance(error, SystemExit) else " ".join(str(error).split())
        self._session["error"] = None if error is None else told or type(error).__name__
        self._session["ended"] = _now()
        try:
            self._write()
        except OSError:
            if error is None:
                raise  # else the error of the run is the one to tell

    def _facts(self) -> dict[str, Any]:
        video = None if self.inputs.path is None else {"path": self.inputs.path, "sha256": self.inputs.video}
        return {
            "state": "running",
            "error": None,
            "started": self._begun,
            "start": self._number(),
            "ended": None,
            "command": command_line() if self.command is None else shlex.join(self.command),
            "directory": os.getcwd(),
            "process": os.getpid(),
            "device": self.device,
            "seed": self.seed,
            "video": video,
            "labels": dict(self.inputs.labels),
            "changed": self.changes.sentences(),
            "versions": versions(),
            "git": git_state(Path(__file__).parents[1]),
            "platform": platform.platform(),
        }

    def _number(self) -> int:
        """Greater than those of all starts beside it before: which run is the newest does not depend on the clock."""
        return 1 + max((start_of(file.parent) for file in self.path.absolute().parents[1].glob(f"*/{self.path.name}")), default=0)

    def _write(self) -> None:
        assert self._session is not None
        document = {**self._session, "started": self._sessions[0]["started"], "sessions": self._sessions}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def changed_since(run_json: Path, *, labels: Mapping[str, str], video: str | None) -> Changes:
    """Which inputs differ from those that run.json names; none where there is no run.json yet."""
    before = _read(run_json)
    if not before:
        return Changes()
    then, known = before["labels"], (before["video"] or {}).get("sha256")
    return Changes(
        video=None not in (known, video) and known != video,
        edited=tuple(sorted(name for name in labels if then.get(name, labels[name]) != labels[name])),
        added=tuple(sorted(set(labels) - set(then))),
        removed=tuple(sorted(set(then) - set(labels))),
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; for a folder, of the names and contents of all files in it but hidden ones."""
    if path.is_dir():
        total = hashlib.sha256()
        for file in _files(path):
            name = os.fsencode(file.name)  # no name holds a 0 byte: it ends the name
            total.update(name + b"\0" + bytes.fromhex(digest_of(file)))
        return total.hexdigest()
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that decide results; None where one is not installed. Imports none."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name, distributions in PACKAGES.items():
        found[name] = next(filter(None, map(_version, distributions)), None)
    return found


def command_line() -> str:
    """The command of this process as a shell takes it, without the folder of the program or of Python."""
    # Not sys.argv: the command line may be rewritten there before Hydra reads it.
    python, *arguments = sys.orig_argv
    if arguments and not arguments[0].startswith("-") and not arguments[0].endswith(".py"):
        return shlex.join([Path(arguments[0]).name, *arguments[1:]])  # revseg-train, a script without suffix
    return shlex.join([Path(python).name, *arguments])


def git_state(package: Path) -> dict[str, Any] | None:
    """Commit of the checkout that the package lies in, and whether its code is changed; None where it is installed."""
    # An installed package may lie inside a repository of somebody else, which does not track it.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit, status = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "--", ".", ":/configs")
    return {"commit": commit, "dirty": None if status is None else status != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails or there is no git."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _files(path: Path) -> list[Path]:
    """The file itself, or the files of a folder by name, without hidden ones."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))


def _read(run_json: Path) -> dict[str, Any]:
    """The document; empty where there is none."""
    try:
        document = json.loads(run_json.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{run_json} cannot be read ({error}); remove it, or choose another run_dir=") from error
    if not (isinstance(document, dict) and {"video", "labels", "sessions"} <= document.keys()):
        raise ValueError(f"{run_json} is not the record of a run; remove it, or choose another run_dir=")
    return document


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
