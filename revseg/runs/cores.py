"""As many threads as there are cores to be had, while other programs run on them too.

A parallel loop ends when its last thread does, and a step of a training has thousands of loops. Where more threads want to run
than there are cores, some thread waits for its turn in nearly every one, for milliseconds: on two cores, beside two other busy
threads, a step takes nine times as long with two threads as with one (docs/results/quality.md). How long a thread waits for a
core, Linux counts: the second number, nanoseconds, of /proc/PID/task/TID/schedstat.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

LOG = logging.getLogger("revseg")

SECONDS = 2.0
"""From one look to the next, at least."""
CROWDED, FREE = 0.25, 0.05
"""Threads that wait for a core, in the mean: from the first on there are too many, below the second perhaps too few."""
FIRST_HOLD, LONGEST_HOLD = 15.0, 480.0
"""Seconds before more threads are tried again: twice as many each time that they were too many."""


class Cores:
    """Lets PyTorch use fewer threads while other programs need the cores, and more again once these are free.

    most: how many threads it uses at most; 1: nothing is ever changed. waited: seconds that its threads have waited for a core so
    far, None where that is not known; clock: seconds.
    """

    def __init__(
        self, most: int, *, waited: Callable[[], float | None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.count = self.most = most
        self._waited, self._clock = waited or seconds_waited, clock
        self._hold, self._until, self._tried = FIRST_HOLD, -math.inf, False
        self._seen = self._clock(), self._waited()

    @classmethod
    def for_steps_on(cls, device: torch.device) -> Cores:
        """Returns those of a training on a device. Who has set OMP_NUM_THREADS has chosen, and a GPU does not care."""
        chosen = device.type != "cpu" or "OMP_NUM_THREADS" in os.environ
        return cls(1 if chosen else torch.get_num_threads())

    def look(self) -> None:
        """Sees how many threads had to wait since it looked before, and uses others where they were too many, or too few."""
        if self.most == 1:
            return
        (since, before), now = self._seen, self._clock()
        if now - since < SECONDS:
            return
        waited = self._waited()
        self._seen = now, waited
        tried, self._tried = self._tried, False
        if waited is None or before is None:
            return
        waiting = max(0.0, waited - before) / (now - since)  # what has ended in between has taken its seconds with it
        if waiting > CROWDED and self.count > 1:
            self._hold = min(LONGEST_HOLD, 2 * self._hold) if tried else FIRST_HOLD
            self._until = now + self._hold
            self._use(max(1, self.count - math.ceil(waiting - CROWDED)), "other programs use the processor")
        elif waiting < FREE and self.count < self.most and now >= self._until:
            self._use(self.most, "the processor is free again")
            self._tried = True

    def _use(self, count: int, why: str) -> None:
        before, self.count = self.count, count
        torch.set_num_threads(count)
        remedy = f"; OMP_NUM_THREADS={before} would keep {before}" if count < before else ""
        LOG.info(f"{why}: steps go on with {count} thread{'s' if count > 1 else ''}{remedy}")


def seconds_waited() -> float | None:
    """Returns how long the threads of this process that still run have waited for a core; None where Linux does not tell."""
    waited = 0
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        try:
            waited += int(thread.read_text().split()[1])
        except (OSError, IndexError, ValueError):  # it has just ended, or this kernel does not count
            continue
    return waited / 1e9 if waited else None
