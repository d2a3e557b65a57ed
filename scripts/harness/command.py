"""Runs commands of revseg, each in a process of its own. It starts at once: it is a fork of one that has imported all."""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MISTAKE = 70
"""Exit status of a command that raised what nobody caught."""

COMMANDS = ("train", "predict", "evaluate", "plan")
LIBRARIES = (*(f"revseg.{command}" for command in COMMANDS), "cv2", "av", "tensorboard.compat.proto.summary_pb2")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    """Exit status; the negative number of the signal that ended it."""
    seconds: float
    peak: int
    """Largest resident size, in bytes."""
    out: str
    error: str


def preload() -> None:
    """Imports what commands import, before the first fork. No work may be done here: threads do not survive a fork."""
    for name in LIBRARIES:
        importlib.import_module(name)


class Process:
    """revseg-COMMAND at work in a folder; what it prints goes to the files .out and .error there."""

    def __init__(self, command: str, arguments: list[str], folder: Path, *, memory: int | None = None) -> None:
        """memory: bytes of address space that it may take beyond that of the libraries; None: as much as there is."""
        self.folder, self.started = folder, time.monotonic()
        self.number = os.fork()
        if self.number == 0:
            _serve(command, arguments, folder, memory=memory)
        self._ended: tuple[int, resource.struct_rusage] | None = None

    @property
    def ended(self) -> bool:
        if self._ended is None:
            number, status, used = os.wait4(self.number, os.WNOHANG)
            self._ended = (os.waitstatus_to_exitcode(status), used) if number else None
        return self._ended is not None

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Waits for the end, for so long or until something happens; returns whether it has ended."""
        last = time.monotonic() + seconds
        while not self.ended and time.monotonic() < last and not until():
            time.sleep(0.0005)
        return self.ended

    def kill(self, *, children: bool = True) -> None:
        """Ends it at once by SIGKILL."""
        (os.killpg if children else os.kill)(self.number, signal.SIGKILL)
        self.wait(60)

    def outcome(self) -> Outcome:
        """Returns how it ended."""
        assert self._ended is not None, "it has not ended"
        status, used = self._ended
        out, error = ((self.folder / name).read_text(errors="replace") for name in (".out", ".error"))
        return Outcome(status, time.monotonic() - self.started, used.ru_maxrss << 10, out, error=error)


def _serve(command: str, arguments: list[str], folder: Path, *, memory: int | None) -> None:
    """The process's main, which does not return."""
    status = MISTAKE
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, ".out", os.O_WRONLY), (2, ".error", os.O_WRONLY)):
            os.dup2(os.open(name, mode | (os.O_CREAT | os.O_TRUNC) * (number > 0), 0o666), number)
        if memory is not None:
            loaded = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (loaded + memory, loaded + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = [f"revseg-{command}", *arguments]
        from revseg.cli import main

        getattr(main, command)()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # as Python does at its end: caches are written in the background
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
