"""The long phases of a run: a bar on a terminal, a line now and then in a log, seconds for metrics.json.

with phase("optical flow", total=70, unit="flow") as bar:
    bar.advance()

optical flow: 70 flows
optical flow: 23 of 70 flows, 30 s, 61 s left
optical flow: 70 flows in 91.2 s
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TextIO

from revseg.runs.heap import release_freed

EVERY = 10.0
"""Seconds between two lines of a phase in a log."""

logger = logging.getLogger("revseg")

_recorders: list[Phases] = []
_watchers: list[Callable[[Phase], None]] = []
_recording = threading.Lock()
_threads = threading.local()


@dataclass
class Phases:
    """Seconds of the phases that have ended, summed by name, without the phases inside them."""

    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def recorded() -> Iterator[Phases]:
    """Collects the phases of all threads that end within the block."""
    phases = Phases()
    with _recording:
        _recorders.append(phases)
    try:
        yield phases
    finally:
        with _recording:
            _recorders[:] = [one for one in _recorders if one is not phases]


@contextmanager
def watched(see: Callable[[Phase], None]) -> Iterator[None]:
    """Calls a function with a phase of any thread as it begins, advances and ends, for the duration of a with block."""
    with _recording:
        _watchers.append(see)
    try:
        yield
    finally:
        with _recording:
            _watchers.remove(see)


def phase(name: str, total: int | None = None, unit: str = "frame", start: int = 0) -> Phase:
    """A phase to enter with `with`: its bar shows how much of `total` is done, `start` of it before.

    The bar appears where stderr is a terminal and the logger "revseg" is enabled for INFO. Lines are logged in any
    case: a console filters them with NotShownAsBar.
    """
    return Phase(name, total=total, unit=unit, start=start)


class Phase:
    """A phase under way. `advance` may be called by several threads."""

    def __init__(self, name: str, *, total: int | None, unit: str, start: int) -> None:
        self.name, self.total, self.unit, self.done = _line(name), total, unit, start
        self.values: dict[str, float] = {}
        """The numbers of the last note."""
        self.ended = False
        self._start, self._text = start, ""
        self._lock = threading.Lock()
        self._inside = 0.0
        self._bar: Any = None

    def __enter__(self) -> Phase:
        release_freed()  # a phase needs other pieces of memory than the one before
        self._stack = _open_phases()
        self._parent = self._stack[-1] if self._stack else None
        if _terminal() and _shown():
            self._bar = _new_bar(self)
        self._log(self._beginning())
        self._stack.append(self)
        self._began = self._spoke = time.perf_counter()
        self._show()
        return self

    def advance(self, count: int = 1) -> None:
        """Counts what is done."""
        with self._lock:
            self.done += count
            if self._bar is not None:
                self._bar.update(count)
            now = time.perf_counter()
            due = now - self._spoke >= EVERY
            if due:
                self._spoke = now
            line = self._progress(now - self._began) if due else ""
        if line:
            self._log(line)
        self._show()

    def note(self, text: str, **values: float) -> None:
        """Shows a text beside the bar from now on: loss 0.103, J 0.88. values: the same for a program."""
        with self._lock:
            self._text, self.values = _line(text), values
            if self._bar is not None:
                self._bar.set_postfix_str(self._text, refresh=False)  # the next update draws it

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        seconds = time.perf_counter() - self._began
        # By identity: a phase in a generator may end after one that began later.
        self._stack[:] = [one for one in self._stack if one is not self]
        if self._parent is not None:
            self._parent._inside += seconds
        _record(self.name, seconds=max(0.0, seconds - self._inside))
        with self._lock:
            if self._bar is not None:
                self._bar.close()
        self._log(self._ending(seconds, failed=kind is not None))
        release_freed()  # one inside another hands back what its surroundings need in other pieces
        self.ended = True
        self._show()

    def _show(self) -> None:
        for see in tuple(_watchers):
            see(self)

    def _beginning(self) -> str:
        if self.total is None:
            return self.name
        return f"{self.name}: {f'{self._start} of ' if self._start else ''}{self._count(self.total)}"

    def _progress(self, seconds: float) -> str:
        new = self.done - self._start
        if self.total is None:
            so_far, left = self._count(self.done), ""
        else:
            so_far = f"{self.done} of {self._count(self.total)}"
            left = f", {seconds / new * max(0, self.total - self.done):.0f} s left" if new > 0 else ""
        return f"{self.name}: {so_far}, {seconds:.0f} s{left}{self._note()}"

    def _ending(self, seconds: float, failed: bool) -> str:
        if failed:
            of = "" if self.total is None else f"{self.done} of "
            return f"{self.name}: stopped at {of}{self._count(self.total or self.done)} after {seconds:.1f} s{self._note()}"
        counted = f"{self._count(self.done)} in " if self.done else ""
        return f"{self.name}: {counted}{seconds:.1f} s{self._note()}"

    def _count(self, number: int) -> str:
        return f"{number} {self.unit}{'' if number == 1 else 's'}"

    def _note(self) -> str:
        return f", {self._text}" if self._text else ""

    def _log(self, line: str) -> None:
        logger.info("%s", line, extra={"bar": self._bar is not None})


class NotShownAsBar(logging.Filter):
    """Keeps the lines of phases from a console that shows them as bars."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(record, "bar", False)


class Console(logging.StreamHandler[TextIO]):
    """Writes log lines above the bars, never into one. Without a bar it is a StreamHandler."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)  # loaded with the first bar
        if tqdm is None:
            super().emit(record)
            return
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def _open_phases() -> list[Phase]:
    """The phases of this thread that are under way, the innermost last."""
    if not hasattr(_threads, "phases"):
        _threads.phases = []
    phases: list[Phase] = _threads.phases
    return phases


def _record(name: str, seconds: float) -> None:
    with _recording:
        for phases in _recorders:
            phases.seconds[name] = phases.seconds.get(name, 0.0) + seconds


def _shown() -> bool:
    """Whether the user wants to see phases: the logger lets them pass, and so does the console, where there is one."""
    consoles = [handler.level for handler in logger.handlers if isinstance(handler, Console)]
    return logger.isEnabledFor(logging.INFO) and min(consoles, default=0) <= logging.INFO


def _terminal() -> bool:
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


def _new_bar(phase: Phase) -> Any:
    from tqdm import tqdm  # only where a bar is shown

    sized = _knows_its_size(sys.stderr)
    # leave=None: a phase inside another one leaves no line of its own.
    return tqdm(
        desc=phase.name,
        total=phase.total,
        initial=phase.done,
        unit=f" {phase.unit}",
        leave=None,
        dynamic_ncols=sized,
        ncols=None if sized else 80,
        nrows=None if sized else 24,
        file=sys.stderr,
    )


def _knows_its_size(terminal: TextIO) -> bool:
    """False for some terminals in containers: tqdm would draw nothing there."""
    try:
        return os.get_terminal_size(terminal.fileno()).columns > 0
    except OSError:
        return False


def _line(text: str) -> str:
    """The text on one line: neither a bar nor a log file can take a carriage return."""
    return " ".join(text.split())
