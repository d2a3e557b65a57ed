"""The processes that find the evidence of one video together, each that of its share of the frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nobody() -> None:
    """Waits for nobody."""


@dataclass(frozen=True)
class Team:
    """A process among those that find the evidence of one video; alone, the only one. All see the same folder."""

    index: int = 0
    """Its number; the first does what cannot be shared out."""
    count: int = 1
    wait: Callable[[], None] = _nobody
    """Returns when all have called it."""

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def share(self, frames: int) -> range:
        """Returns the frames of a video that this process works on."""
        return range(self.index * frames // self.count, (self.index + 1) * frames // self.count)


ALONE = Team()
