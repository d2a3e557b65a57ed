"""Bytes, memory and time of a training step of one volume that several processes hold together.

    python scripts/scale_volume.py                                2 processes with one thread each, beside one with two
    python scripts/scale_volume.py --shards 4 --page docs/results/scale.md

Each turn starts fresh processes of both kinds. Bytes are those that the processes hand to torch.distributed for their neighbours;
memory is how far the resident memory of a process grows beyond what it was before the first step, the libraries loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from harness.machine import facts, lines
from harness.page import write_section
from harness.ranks import environments

from revseg.network.config import NetworkConfig
from revseg.network.memory import forecast_training
from revseg.network.network import RevSegNet, convolution_dtype_of
from revseg.network.plan import blocks_of, padded_size
from revseg.network.step import training_step
from revseg.network.volume import Part
from revseg.parallel.group import joined
from revseg.training.loss import SegmentationLoss

WARM_UP = 2
"""Steps that do not count."""


@dataclass
class Measured:
    """All turns of one kind."""

    shards: int
    threads: int
    steps: list[float] = field(default_factory=list)
    """Seconds of each."""
    cpu: list[float] = field(default_factory=list)
    """Seconds of processor of all processes for a step, of each turn."""
    peak: list[int] = field(default_factory=list)
    """Bytes, the most of any process, of each turn."""
    sent: int = 0
    """Bytes to neighbours in a step, of the process that sends most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=3, default=(48, 96, 168), metavar=("T", "H", "W"))
    parser.add_argument("--rounds", type=int, default=3, help="turns of both (default: 3)")
    parser.add_argument("--steps", type=int, default=6, help="of each turn (default: 6)")
    parser.add_argument("--network", type=json.loads, default={}, help="settings of RevSegNet, as JSON")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: it is printed)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given)
        return
    several, one = Measured(given.shards, 1), Measured(1, given.shards)
    for _ in range(given.rounds):
        for kind in (several, one):
            run(kind, sys.argv[1:])
    text = page(several, one, given)
    if given.page:
        write_section(given.page, "scale_volume", "volume", text)
    else:
        print(text)


def run(kind: Measured, arguments: list[str]) -> None:
    """Takes a turn, and adds what it took."""
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for rank, environment in enumerate(environments(kind.shards, kind.threads)):
            command = [sys.executable, __file__, *arguments, "--worker", f"{folder}/{rank}"]
            started.append(subprocess.Popen(command, env=environment))
        if any([process.wait() for process in started]):
            sys.exit("scale_volume: a process failed")
        found: list[dict[str, Any]] = [json.loads(Path(folder, str(rank)).read_text()) for rank in range(kind.shards)]
    kind.steps += found[0]["steps"]
    kind.cpu.append(sum(each["cpu"] for each in found))
    kind.peak.append(max(each["peak"] for each in found))
    kind.sent = max(each["sent"] for each in found)


def work(given: argparse.Namespace) -> None:
    """Takes steps as one process, and writes what it took."""
    torch.manual_seed(0)
    frames, height, width = given.size
    net = RevSegNet(**given.network)
    labelled = (0, frames // 2, frames - 1)
    labels = torch.randint(0, 2, (1, len(labelled), height, width))
    with joined() as group:
        group.connect(torch.device("cpu"))
        group.share_volumes(group.world)
        part = None if group.volume is None else Part(frames, group.volume)
        own = range(frames) if part is None else part.seen(net.config, 0)
        # A step on a tiny volume loads what a step loads.
        training_step(
            net, torch.zeros(1, net.config.inputs, 8, 16, 16, dtype=torch.uint8), labels[:, :1, :16, :16], [0], loss=LOSS
        )
        volume = torch.randint(0, 256, (1, net.config.inputs, len(own), height, width), dtype=torch.uint8)
        before, seconds, began = resident(), [], 0.0
        for number in range(given.steps):
            group.barrier()
            began = time.process_time() if number == WARM_UP else began
            started = time.perf_counter()
            training_step(net, volume, labels, labelled, loss=LOSS, part=part)
            seconds.append(time.perf_counter() - started)
        counted = given.steps - WARM_UP
        found = {
            "steps": seconds[WARM_UP:],
            "cpu": (time.process_time() - began) / counted,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before,
            "sent": 0 if group.volume is None else group.volume.sent // given.steps,
        }
    given.worker.write_text(json.dumps(found))


LOSS = SegmentationLoss()


def resident() -> int:
    """Returns the bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def counted(config: NetworkConfig, size: tuple[int, int, int], shards: int) -> int:
    """Returns the bytes that a process with neighbours on both sides, or on one of two, sends in a step, by the layers alone.

    A pass sends for each position of K's reach at an end the partial sums, 4 bytes, and what becomes of them, in the dtype of the
    convolutions, for each channel of the hidden space; a step is three passes: y forwards, y and u on the way back.
    """
    padded, total = padded_size(config, size), 0
    for block in blocks_of(config):
        if block.kind == "leapfrog":
            positions = (padded[1] >> block.level) * (padded[2] >> block.level) * (config.kernel_size // 2)
            total += 3 * positions * block.rank * (4 + convolution_dtype_of(config).itemsize)
    return total * min(2, shards - 1)


def page(several: Measured, one: Measured, given: argparse.Namespace) -> str:
    config, size = RevSegNet(**given.network).config, tuple(given.size)
    settings = {"device": "cpu", "labelled_frames": 3, "any_offset": False}
    expected = [forecast_training(config, size, shards=kind.shards, **settings) for kind in (several, one)]  # type: ignore[arg-type]
    rows = "\n".join(
        f"| {kind.shards} | {kind.threads} | {median(kind.steps):.2f} s | {median(kind.cpu):.2f} s "
        f"| {megabytes(median(kind.peak))} | {megabytes(found.floor)} | {megabytes(found.total)} |"
        for kind, found in zip((several, one), expected, strict=True)
    )
    count = counted(config, size, several.shards)  # type: ignore[arg-type]
    bare = median(several.peak) / median(one.peak)
    header = (
        f"| processes | threads of each | a step, median of {len(several.steps)} | CPU time of a step, all processes "
        "| memory of a step, largest process | states and adjoints of a process | forecast of a process |"
    )
    return f"""## One volume

`scripts/scale_volume.py` takes training steps of {size[0]} frames of {size[2]} x {size[1]}, three of them labelled, in
{several.shards} processes with one thread each, and in one process with {one.threads} threads, on the same machine in turns;
network: {json.dumps(given.network) if given.network else "as it comes"}.

{lines(facts("cpu", several.shards))}- load average of the machine meanwhile: {os.getloadavg()[1]:.1f}; above
  {several.shards}, other programs shared it

{header}
|--:|--:|--:|--:|--:|--:|--:|
{rows}

- A step takes {median(several.steps) / median(one.steps):.2f} times as long as in one process by the clock, and
  {median(several.cpu) / median(one.cpu):.2f} times the CPU time.
- A process takes {bare:.2f} of the memory of one process alone, and {median(several.peak) / expected[0].total:.2f} of its
  forecast.
- The process that sends most sends {several.sent / 1e6:.3f} MB to its neighbours in a step; counted from the layers:
  {count / 1e6:.3f} MB.
"""


def megabytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
