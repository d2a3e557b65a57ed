"""Moments at which a process is killed: after a random time, or just as it writes, which takes a small part of the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

WRITTEN = {
    "saving": "run/checkpoints/.*.partial",
    "evidence": "run/evidence/*",
    "masks": "*/**/masks/*.png",
    "overlay": "*/**/overlay.mp4",
    "any file": "*/**/.*.partial",
}
"""What is being written -> the files that show it."""


@dataclass(frozen=True)
class Moment:
    """When a process is killed."""

    kind: str
    """time, or one of ``WRITTEN``: what happens first counts."""
    latest: float
    """Seconds after the start."""
    number: int = 1
    """How many files have to appear before."""
    delay: float = 0.0
    """Seconds after the file has appeared."""

    def happens_in(self, folder: Path) -> Callable[[], bool]:
        """Returns a function that says whether the moment has come, counted from now."""
        started, seen = time.monotonic(), set[Path]()
        before = set(folder.glob(WRITTEN[self.kind])) if self.kind != "time" else set[Path]()
        at: list[float] = []

        def has_come() -> bool:
            if self.kind != "time" and not at:
                seen.update(set(folder.glob(WRITTEN[self.kind])) - before)
                if len(seen) >= self.number:
                    at.append(time.monotonic() + self.delay)
            return time.monotonic() >= (at[0] if at else started + self.latest)

        return has_come


def moment(random: Random, usual: float) -> Moment:
    """Returns a random one. usual: seconds that the process takes if it is left alone."""
    latest = random.uniform(0.05, 0.9) * usual
    if random.random() < 0.5:
        return Moment("time", latest)
    delay = random.choice((0.0, 0.0, random.uniform(0, 0.05)))
    return Moment(random.choice(list(WRITTEN)), 0.9 * usual, random.randint(1, 3), delay)
