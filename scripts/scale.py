"""Time and bytes of a training step in several processes, beside one process with as many threads.

    python scripts/scale.py --root DAVIS                       two processes with one thread each, one with two
    python scripts/scale.py --root DAVIS --page docs/results/scale.md

Both train on the same videos, as many in a step as there are processes, and take turns. The median of all steps counts but for
the first two of each run. CPU time is that of all processes of a run from start to end, imports and masks included.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from harness.machine import facts, lines
from harness.page import write_section
from harness.ranks import environments
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from revseg.training.checkpoint import load

WARM_UP = 2
"""Steps of each run that do not count."""


@dataclass
class Measured:
    """All runs of one kind."""

    processes: int
    threads: int
    steps: list[float] = field(default_factory=list)
    """Seconds of each."""
    cpu: list[float] = field(default_factory=list)
    """Seconds of each run."""
    parameters: int = 0

    @property
    def seconds(self) -> float:
        return median(self.steps)

    @property
    def sent(self) -> float:
        """Bytes that each process sends in a step: gloo and NCCL reduce in a ring, 2 (n - 1) / n of the gradients."""
        return 4 * self.parameters * 2 * (self.processes - 1) / self.processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages, Annotations and ImageSets lie")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns of both (default: 3)")
    parser.add_argument("--steps", type=int, default=8, help="of each run (default: 8)")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: it is printed)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    given = parser.parse_args()
    several, one = Measured(given.processes, 1), Measured(1, given.processes)
    settings = ["experiment=davis", f"data.root={Path(given.root).absolute()}", "evidence=none", "device=cpu", "verbosity=quiet"]
    settings += [f"training.accumulation={given.processes}", f"training.steps={given.steps}", "training.evaluate_every=null"]
    for _ in range(given.rounds):
        for kind in (several, one):
            run(kind, [*settings, *given.overrides])
    text = page(several, one, given.overrides)
    if given.page:
        write_section(given.page, "scale", "videos", text)
    else:
        print(text)


def run(kind: Measured, settings: list[str]) -> None:
    """Trains once, and adds what it took."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "revseg.train", *settings, f"run_dir={run_dir}"]
        started = [subprocess.Popen(command, env=own) for own in environments(kind.processes, kind.threads)]
        ended = [os.wait4(process.pid, 0) for process in started]
        if any(status for _, status, _ in ended):
            sys.exit("scale: a training failed")
        kind.cpu.append(sum(used.ru_utime for _, _, used in ended))
        events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"scalars": 0}).Reload()
        kind.steps += [event.value for event in events.Scalars("speed/seconds_per_step")][WARM_UP:]
        kind.parameters = sum(weight.numel() for weight in load(run_dir / "checkpoints" / "last.pt").weights.values())


def page(several: Measured, one: Measured, overrides: list[str]) -> str:
    rows = "\n".join(
        f"| {kind.processes} | {kind.threads} | {kind.seconds:.2f} s | {median(kind.cpu):.0f} s | {kind.sent / 1e6:.2f} MB |"
        for kind in (several, one)
    )
    settings = re.sub(r"\s+", " ", " ".join(overrides)) or "the settings of experiment=davis"
    return f"""## Videos of their own

`scripts/scale.py` trains in {several.processes} processes with one thread each, and in one process with {one.threads} threads,
on the same machine in turns: {several.processes} videos a step, without evidence, {settings}.

{lines(facts("cpu", several.processes))}- load average of the machine meanwhile: {os.getloadavg()[1]:.0f}; above
  {several.processes}, other programs shared it

| processes | threads of each | a step, median of {len(several.steps)} | CPU time of a run, median | a process sends in a step |
|--:|--:|--:|--:|--:|
{rows}

A step in {several.processes} processes takes {several.seconds / one.seconds:.2f} times as long as in one, by the clock. Bytes are
counted: in a ring each process sends 2 (n - 1) / n of the gradients, {4 * several.parameters / 1e6:.2f} MB in float32, and a few
numbers of each video beside them.
"""


if __name__ == "__main__":
    main()
