"""How far a training has come: the end is a number of steps, a time, or whichever comes first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Progress:
    """step and seconds count what was done, over all resumes.

    The schedule and the end are functions of `fraction`. With a limit in minutes it depends on the speed of
    the machine: such a training cannot be repeated bit for bit, nor resumed to the same weights. With steps
    alone it can.
    """

    steps: int
    minutes: float | None = None
    step: int = 0
    seconds: float = 0.0
    end: int | None = None
    """The last step of a training that is ended early; what is left of the schedule is run through until then."""
    inverted: int = 0
    """Steps whose backward pass came back to the opening bit for bit, of those with exact arithmetic."""

    @property
    def fraction(self) -> float:
        """In [0, 1]: max(step / last step, seconds / limit)."""
        by_time = 0.0 if self.minutes is None else self.seconds / (60 * self.minutes)
        return min(1.0, max(self.step / (self.end or self.steps), by_time))

    def __str__(self) -> str:
        return f"step {self.step} of {self.end or self.steps}"

    @property
    def finished(self) -> bool:
        return self.fraction >= 1.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts the seconds of a with block."""
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started
