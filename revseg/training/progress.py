"""How far a training has come: the end is a number of steps, a time, or whichever comes first.

A run is one round or several. The first takes the weights from nothing to the labels that there are. When labels are added or
corrected, another one begins, with the weights of the one before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Round:
    """A round of a run: training on one state of the labels."""

    start: int = 0
    """The steps of the rounds before it."""
    seconds: float = 0.0
    """The time that they took."""
    labels: str | None = None
    """Key of the labels of the one video (``OneVideo.labels_key``); None: many videos."""
    label_count: int | None = None
    """How many labelled frames it trains on."""


@dataclass
class Progress:
    """step and seconds count what was done, over all rounds and all resumes.

    The schedule and the end of a round are functions of `fraction`. With a limit in minutes it depends on the speed of
    the machine: such a training cannot be repeated bit for bit, nor resumed to the same weights. With steps
    alone it can.
    """

    steps: int
    """Steps of the first round."""
    minutes: float | None = None
    """Limit of each round."""
    finetune_steps: int | None = None
    """Steps of each later round; None: as many."""
    step: int = 0
    seconds: float = 0.0
    end: int | None = None
    """The last step of a round that is ended early; what is left of the schedule is run through until then."""
    inverted: int = 0
    """Steps whose backward pass came back to the opening bit for bit, of those with exact arithmetic."""
    rounds: list[Round] = field(default_factory=lambda: [Round()])
    """Those that were begun; the last one is under way, or was the last to end."""

    @property
    def last(self) -> int:
        """The step that ends the round."""
        if self.end is not None:
            return self.end
        length = None if len(self.rounds) == 1 else self.finetune_steps
        return self.rounds[-1].start + (self.steps if length is None else length)

    @property
    def fraction(self) -> float:
        """The share of the round that is done: the larger of steps / steps until the last and seconds / limit, at most 1."""
        begun = self.rounds[-1]
        by_time = 0.0 if self.minutes is None else (self.seconds - begun.seconds) / (60 * self.minutes)
        return min(1.0, max((self.step - begun.start) / (self.last - begun.start), by_time))

    def __str__(self) -> str:
        return f"step {self.step} of {self.last}" + (f", round {len(self.rounds)}" if len(self.rounds) > 1 else "")

    @property
    def finished(self) -> bool:
        return self.fraction >= 1.0

    def begin_round(self, labels: str | None, label_count: int | None) -> None:
        """Begins a round from here on. One whose labels change before its end begins anew, and is the same one."""
        if self.finished:
            self.rounds = [*self.rounds, Round()]
        self.end = None
        self.rounds = [*self.rounds[:-1], Round(self.step, self.seconds, labels=labels, label_count=label_count)]

    def told(self) -> list[dict[str, float | None]]:
        """Returns what each round took: steps, seconds, labelled frames."""
        ends = [*((each.start, each.seconds) for each in self.rounds[1:]), (self.step, self.seconds)]
        return [
            {"steps": step - each.start, "seconds": seconds - each.seconds, "labelled_frames": each.label_count}
            for each, (step, seconds) in zip(self.rounds, ends, strict=True)
        ]

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Counts the seconds of a with block."""
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started
