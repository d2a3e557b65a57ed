"""The process that trains for the page: revseg-train, which also says what it is doing, in lines of JSON.

python -m revseg.page.worker NUMBER OF AN OPEN FILE, THEN THE WORDS OF revseg-train ...
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from revseg.cli import main as cli
from revseg.runs.phases import Phase, watched

EVERY = 0.2
"""Seconds between two lines of a phase."""


class Reporter:
    """Writes a phase as a line: what, how much of it is done, and numbers such as the loss."""

    def __init__(self, number: int) -> None:
        self.number, self._lock, self._last = number, threading.Lock(), ("", 0.0)

    def __call__(self, phase: Phase) -> None:
        with self._lock:
            name, spoken = self._last
            now = time.monotonic()
            if phase.name == name and now - spoken < EVERY and not phase.values and not phase.ended:
                return
            self._last = phase.name, now
            line = {"phase": phase.name, "done": phase.done, "total": phase.total, "unit": phase.unit, **phase.values}
            try:
                os.write(self.number, json.dumps(line).encode() + b"\n")
            except OSError:  # the page is gone: the training goes on, and its masks will be there
                self.number = os.open(os.devnull, os.O_WRONLY)


def main() -> None:
    """Trains."""
    reporter = Reporter(int(sys.argv.pop(1)))
    sys.argv[0] = "revseg-train"
    with watched(reporter):
        cli.train()


if __name__ == "__main__":
    main()
