"""Ends a process that makes no progress, with the stacks of all its threads in the log: a batch job would wait till its end."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from revseg.runs import phases
from revseg.runs.phases import Phase

LATER = 30.0
"""Seconds after which the stacks are written by faulthandler, which needs no Python for it: a library may keep Python's lock."""


class Watchdog:
    """Looks whether phases begin, advance or end."""

    def __init__(self, seconds: float, log: TextIO, end: Callable[[str], None]) -> None:
        self.seconds, self.log, self.end = seconds, log, end
        self._what, self._seen, self._armed = "the start", time.monotonic(), 0.0
        self._arm()

    def see(self, phase: Phase) -> None:
        """Takes note of a phase that goes on."""
        count = f" after {phase.done}{'' if phase.total is None else f' of {phase.total}'}" if phase.done else ""
        self._what = f"{phase.name}{count}"
        self._seen = time.monotonic()
        if self._seen - self._armed > 1:
            self._arm()

    def run(self, stop: threading.Event) -> None:
        """Watches until it is to stop, or nothing goes on."""
        while not stop.wait(min(1.0, self.seconds / 4)):
            if time.monotonic() - self._seen > self.seconds:
                faulthandler.dump_traceback(self.log, all_threads=True)
                self.end(
                    f"nothing went on for {self.seconds:g} s (training.watchdog) in {self._what}; {self.log.name} says where "
                    "each thread was"
                )
                os._exit(1)

    def _arm(self) -> None:
        self._armed = time.monotonic()
        faulthandler.dump_traceback_later(self.seconds + LATER, exit=True, file=self.log)


@contextmanager
def watched(seconds: float | None, log: Path | None, end: Callable[[str], None]) -> Iterator[None]:
    """Ends the process where nothing goes on for so many seconds of a with block; None: never.

    log: where the stacks are added to; None: stderr. end: tells the sentence, before the process ends with status 1.
    """
    if seconds is None:
        yield
        return
    with open(log, "a", encoding="utf-8") if log is not None else _stderr() as file:
        dog, stop = Watchdog(seconds, file, end), threading.Event()
        thread = threading.Thread(target=dog.run, args=(stop,), name="watchdog", daemon=True)
        thread.start()
        try:
            with phases.watched(dog.see):
                yield
        finally:
            stop.set()
            thread.join()
            faulthandler.cancel_dump_traceback_later()


@contextmanager
def _stderr() -> Iterator[TextIO]:
    yield sys.stderr
