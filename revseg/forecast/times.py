"""Seconds of a run, phase by phase, from how long earlier runs on this machine took for theirs.

Of each phase the runs whose work was much like it count, in proportion to the work; where there is none, the one that was most
like it. What is kept, in the user's cache, is a few numbers for each run: work and seconds of its phases. Machine, libraries,
threads and the device have files of their own.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from revseg.runs.atomic import replacing
from revseg.runs.machine import cache_folder, processor

KEPT = 32
"""Runs that are kept, the newest."""
ALIKE = math.log(2)
"""Logarithm of the ratio of works that are much alike."""
COUNTED = 5
"""Runs of those much alike that count, the newest."""
REST = "start"
"""What is in no phase: what is imported, opened and compiled."""


@dataclass(frozen=True)
class PastRun:
    """What a run had to do in each phase, and how long it took."""

    work: dict[str, float]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Times:
    """The runs that this machine remembers, on one device."""

    path: Path
    runs: tuple[PastRun, ...]

    @classmethod
    def of(cls, device: torch.device) -> Times:
        """Reads them; none where there are none, or the file cannot be read."""
        path = cache_folder("times") / f"{_key(device)}.json"
        try:
            runs = tuple(PastRun(_numbers(entry["work"]), _numbers(entry["seconds"])) for entry in json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            runs = ()
        return cls(path, runs)

    def keep(self, run: PastRun) -> None:
        """Remembers a run; a home that cannot be written stays as it is."""
        entries = [{"work": one.work, "seconds": one.seconds} for one in (*self.runs, run)[-KEPT:]]
        with suppress(OSError), replacing(self.path) as temporary:
            temporary.write_text(json.dumps(entries), encoding="utf-8")

    def seconds(self, work: dict[str, float]) -> dict[str, float] | None:
        """Returns the seconds of each phase; None where nothing tells those of one of them."""
        found = {phase: self._of_phase(phase, amount) for phase, amount in {REST: 1.0, **work}.items()}
        known = {phase: seconds for phase, seconds in found.items() if seconds is not None}
        return known if len(known) == len(found) else None

    def _of_phase(self, phase: str, amount: float) -> float | None:
        past = [(run.work[phase], run.seconds[phase]) for run in self.runs if run.work.get(phase) and phase in run.seconds]
        if not past:
            return None
        ratios = [abs(math.log(work / amount)) for work, _ in past]
        near = max(min(ratios), ALIKE)
        alike = [seconds / work for (work, seconds), ratio in zip(past, ratios, strict=True) if ratio <= near]
        # The newest: the machine may have changed. Their median: it may have been busy with something else.
        return amount * statistics.median(alike[-COUNTED:])


def past_run(work: dict[str, float], phases: dict[str, float], whole: float) -> PastRun:
    """Returns what is to be remembered of a run. phases: their seconds; whole: those of the run from its beginning."""
    known = {phase: phases[phase] for phase in work if phase in phases}
    rest = max(0.0, whole - sum(phases.values()))  # what has no work is of this run alone, such as drawing the film of the demo
    return PastRun({REST: 1.0} | {phase: work[phase] for phase in known}, {REST: rest} | known)


def _numbers(entry: dict[str, float]) -> dict[str, float]:
    """Checks what was read. Raises ValueError where it is no name with a number that can be reckoned with."""
    if not all(isinstance(value, int | float) and 0 <= value < math.inf for value in entry.values()):
        raise ValueError("no times")
    return {name: float(value) for name, value in entry.items()}


def _key(device: torch.device) -> str:
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else str(torch.get_num_threads())
    return hashlib.blake2b(json.dumps([processor(), torch.__version__, what]).encode(), digest_size=16).hexdigest()
