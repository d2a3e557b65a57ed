"""A training and a prediction, killed and resumed until both are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from harness.command import Process

from killing.content import content_of, differences, half_written
from killing.moment import Moment, moment

LONGEST = 900
"""Seconds after which a process that nobody kills counts as hanging."""


@dataclass(frozen=True)
class Recipe:
    """What is run: revseg-train with these settings, then revseg-predict of the same video."""

    video: Path
    masks: Path
    encoding: str
    settings: tuple[str, ...]

    @property
    def lines(self) -> list[tuple[str, list[str]]]:
        """The command lines, typed in the folder of the run."""
        masks = [f"data.masks={self.masks}", f"data.encoding={self.encoding}"]
        frames = [setting for setting in self.settings if setting.startswith("data.max_frames=")]
        shown = [] if "evidence=none" in self.settings else masks  # without evidence, labels are of no use to a network
        return [
            ("train", [f"data.video={self.video}", *masks, "device=cpu", "run_dir=run", *self.settings]),
            ("predict", [str(self.video), *shown, "device=cpu", "checkpoint=run", "output=out", *frames]),
        ]


@dataclass
class Course:
    """How a run went."""

    kills: list[Moment] = field(default_factory=list)
    problem: str | None = None

    def record(self) -> dict[str, Any]:
        return {"kills": [vars(kill) for kill in self.kills], "problem": self.problem}


def undisturbed(recipe: Recipe, folder: Path) -> tuple[dict[str, str], list[float]]:
    """Runs without a kill; returns the content, and the seconds of each command."""
    folder.mkdir(parents=True)
    seconds = []
    for command, arguments in recipe.lines:
        process = Process(command, arguments, folder)
        if not process.wait(LONGEST) or process.outcome().status:
            raise RuntimeError(f"revseg-{command} failed undisturbed: {(folder / '.error').read_text()[-2000:]}")
        seconds.append(process.outcome().seconds)
    return content_of(folder), seconds


def storm(recipe: Recipe, folder: Path, random: Random, *, expected: dict[str, str], usual: list[float]) -> Course:
    """Kills the training one to three times, the prediction once, and gives them again until they are done; compares the ends."""
    folder.mkdir(parents=True)
    course = Course()
    for (command, arguments), seconds in zip(recipe.lines, usual, strict=True):
        moments = [moment(random, seconds) for _ in range(random.randint(1, 3 if command == "train" else 1))]
        while True:
            when = moments.pop() if moments else None
            process = Process(command, arguments, folder)
            if process.wait(LONGEST, when.happens_in(folder) if when else lambda: False):
                break
            process.kill(children=random.random() < 0.5)
            if when is None:
                course.problem = f"revseg-{command} did not end"
                return course
            course.kills.append(when)
        if process.outcome().status:
            course.problem = f"revseg-{command}: {process.outcome().error[-500:]}"
            return course
    wrong = differences(expected, content_of(folder)) or half_written(folder)
    course.problem = f"differs in {', '.join(wrong[:5])}" if wrong else None
    return course
