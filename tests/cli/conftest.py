"""Command lines, typed in a folder of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from revseg.cli import main
from revseg.cli.command import Command
from tests.cli import small


@dataclass(frozen=True)
class Seen:
    """What came of a command line."""

    status: int | str | None
    calls: list[tuple[Any, frozenset[str]]]
    out: str
    err: str

    @property
    def config(self) -> Any:
        ((config, _),) = self.calls
        return config

    @property
    def given(self) -> frozenset[str]:
        ((_, given),) = self.calls
        return given

    @property
    def sentence(self) -> str:
        """The only line of an error; nothing ran."""
        assert (self.status, self.calls) == (1, [])
        (line,) = self.err.splitlines()
        assert line.startswith("revseg: ")
        return line


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Seen]:
    """Types a command line in an empty folder: line("train", "training.steps=3")."""
    monkeypatch.chdir(tmp_path)
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "5000" if name == "GOMP_SPINCOUNT" else "passive")
    commands: dict[str, Command] = {"train": small.TRAIN, "predict": small.PREDICT, "plan": main.PLAN, "evaluate": main.EVALUATE}

    def typed(name: str, *arguments: str) -> Seen:
        small.SEEN.clear()
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [f"/usr/bin/revseg-{name}", *arguments])
        status: int | str | None = 0
        try:
            main.start(commands[name])
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return Seen(status, list(small.SEEN), printed.out, printed.err)

    return typed
