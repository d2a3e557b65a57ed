"""As many threads as there are cores to be had, while other programs run on them too.

A parallel loop ends when its last thread does, and a step of a training has thousands of loops. Where more threads want to run
than there are cores, some thread waits for its turn in nearly every one, for milliseconds: on two cores, beside two other busy
threads, a step takes nine times as long with two threads as with one (docs/results/quality.md). How long a thread waits for a
core, Linux counts: the second number, nanoseconds, of /proc/PID/task/TID/schedstat. What the cores did, stands in /proc/stat.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

LOG = logging.getLogger("revseg")

SECONDS = 2.0
"""From one look to the next, at least."""
WAITING, OTHERS = 0.25, 0.5
"""There are too many threads where more than so many of them wait in the mean, and others compute on more than so many cores.
Threads of the process itself, that decode and write, are in each other's way too: that is the same in every run."""
HOLD = 15.0
"""Seconds before more threads are tried again."""


class Passed(NamedTuple):
    """Seconds that have passed, beside those of the clock."""

    waited: float
    """That threads of this process have waited for a core."""
    others: float
    """That others have computed on the cores that this process may use."""


class Cores:
    """Lets PyTorch use fewer threads while other programs need the cores, and all again once these are free.

    most: how many threads it uses at most; 1: nothing is ever changed. passed: tells what has passed; None where it cannot.
    clock: seconds.
    """

    def __init__(
        self, most: int, *, passed: Callable[[], Passed | None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.count = self.most = most
        self._passed, self._clock = passed or passed_here, clock
        self._since, self._seen, self._until = clock(), self._passed(), -math.inf

    def look(self) -> None:
        """Sees how many threads had to wait since it looked before, and uses fewer where they were too many, or all again."""
        moment, before = self._clock(), self._seen
        seconds = moment - self._since
        if self.most == 1 or seconds < SECONDS or before is None or (now := self._passed()) is None:
            return
        self._since, self._seen = moment, now
        waiting, others = (now.waited - before.waited) / seconds, (now.others - before.others) / seconds
        if others <= OTHERS and self.count < self.most and moment >= self._until:
            self._use(self.most, "the processor is free again")
        elif others > OTHERS and waiting > WAITING and self.count > 1:
            self._until = moment + HOLD
            self._use(max(1, self.count - math.ceil(waiting - WAITING)), "other programs use the processor")

    def _use(self, count: int, why: str) -> None:
        before, self.count = self.count, count
        torch.set_num_threads(count)
        remedy = f"; OMP_NUM_THREADS={before} would keep {before}" if count < before else ""
        LOG.info(f"{why}: steps go on with {count} thread{'s' if count > 1 else ''}{remedy}")


def passed_here() -> Passed | None:
    """Returns what has passed since this machine and the threads that still run began; None where Linux does not tell."""
    waited = computed = 0
    try:
        cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name in cores:  # user, nice, system; idle and waiting for a disk; interrupts of two kinds
                computed += sum(map(int, ticks[:3])) + sum(map(int, ticks[5:7]))
        for thread in Path("/proc/self/task").iterdir():
            try:
                waited += int((thread / "schedstat").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
        own = time.process_time()
        return Passed(waited / 1e9, computed / os.sysconf("SC_CLK_TCK") - own)
    except (AttributeError, OSError, IndexError, ValueError):
        return None
