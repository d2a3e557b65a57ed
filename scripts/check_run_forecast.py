"""Is the forecast of a whole run right? Peak memory of real trainings, a process each, beside what they say as they begin.

    python scripts/check_run_forecast.py --root DAVIS [--cases 0,3]

Takes the first frames of sequences of DAVIS-2016, with their labels, or with three objects made of each by cutting it in three.
Every case is a `revseg-train` as a user would start it, with two steps instead of 60, which need the same memory. Measured: the
largest resident size of the process (Linux), and of the process that decodes for it. Cases that are done are kept in
runs/check_run_forecast.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from harness import ROOT, arguments
from harness.machine import facts, lines
from harness.page import row, table, write_section
from harness.results import Results

from revseg.labels.masks import read_mask, write_mask


@dataclass(frozen=True)
class Case:
    """A training."""

    sequence: str
    height: int
    frames: int
    labelled: int
    objects: int

    @property
    def key(self) -> str:
        return f"{self.sequence}-{self.height}-{self.frames}-{self.labelled}-{self.objects}"


CASES = [
    Case("car-shadow", 96, 10, labelled=5, objects=1),
    Case("car-shadow", 96, 24, labelled=5, objects=1),
    Case("dance-twirl", 96, 10, labelled=1, objects=1),
    Case("libby", 96, 8, labelled=1, objects=3),
    Case("dance-twirl", 96, 12, labelled=5, objects=3),
    Case("car-shadow", 240, 8, labelled=5, objects=1),
    Case("libby", 240, 12, labelled=1, objects=1),
    Case("dance-twirl", 240, 8, labelled=1, objects=3),
    Case("car-shadow", 240, 10, labelled=5, objects=3),
    Case("libby", 480, 8, labelled=5, objects=1),
    Case("car-shadow", 480, 10, labelled=1, objects=1),
    Case("dance-twirl", 480, 8, labelled=5, objects=3),
    Case("libby", 480, 12, labelled=1, objects=3),
]
TOLD = re.compile(r"forecast for .*?: ([\d.]+) GB of memory for the whole process, while ([a-z ]+?)[;,]")


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder DAVIS, where JPEGImages and Annotations lie")
    parser.add_argument("--cases", type=arguments.numbers, default=list(range(len(CASES))), help="which (default: all)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "forecast.md", help="page")
    given = parser.parse_args()
    found = facts("cpu", torch.get_num_threads())
    results = Results(ROOT / "runs" / "check_run_forecast", found)
    for number in given.cases:
        case = CASES[number]
        if results.get(case.key) is None:
            results.keep(case.key, measured(case, given.root, results.folder))
        print(row(cells(case, results.get(case.key))), file=sys.stderr, flush=True)
    done = [(case, kept) for case in CASES if (kept := results.get(case.key)) is not None]
    header = ("sequence", "peak while", "height", "frames", "K", "objects", "forecast GB", "measured GB", "ratio", "decoder GB")
    text = table(header, [cells(case, kept) for case, kept in done], words=2)
    print(text)
    write_section(given.output, "check_run_forecast", "cpu", f"{lines(found)}\n{text}")


def cells(case: Case, kept: dict) -> list[object]:
    numbers = [
        f"{value:.3f}" for value in (kept["forecast"], kept["measured"], kept["forecast"] / kept["measured"], kept["decoder"])
    ]
    return [case.sequence, kept["phase"], case.height, case.frames, case.labelled, case.objects, *numbers]


def measured(case: Case, root: Path, folder: Path) -> dict[str, object]:
    """Trains, and returns what was told and what was taken, in GB."""
    command = [*train(case, root, folder), "training.steps=2"]
    log = folder / f"{case.key}.txt"
    with open(log, "w") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment()) as process:
        watched = Peaks(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text()
    if process.returncode or (told := TOLD.search(text)) is None:
        sys.exit(f"check_run_forecast: {' '.join(command)} failed:\n{text[-1000:]}")
    peak = json.loads((folder / case.key / "metrics.json").read_text())["peak_memory_bytes"]
    decoder = watched.ended()
    return {
        "forecast": float(told[1]),
        "phase": told[2],
        "measured": max(peak, used.ru_maxrss << 10) / 1e9,
        "decoder": decoder / 1e9,
    }


def train(case: Case, root: Path, folder: Path, *more: str) -> list[str]:
    """The command of a case."""
    frames = root / "JPEGImages" / "480p" / case.sequence
    masks, encoding = root / "Annotations" / "480p" / case.sequence, "davis2016"
    if case.objects > 1:
        masks, encoding = in_parts(masks, folder / f"{case.sequence}-{case.objects}", case.objects), "davis2017"
    data = [f"data.video={frames}", f"data.masks={masks}", f"data.encoding={encoding}", f"data.labelled_frames={case.labelled}"]
    size = [f"data.height={case.height}", f"data.max_frames={case.frames}"]
    return [sys.executable, "-m", "revseg.train", *data, *size, f"run_dir={folder / case.key}", "device=cpu", *more]


def in_parts(masks: Path, folder: Path, count: int) -> Path:
    """Cuts the object of each mask in parts of about as many columns."""
    for path in sorted(masks.glob("*.png")):
        if (folder / path.name).exists():
            continue
        mask = read_mask(path, "davis2016")
        columns = np.flatnonzero(mask.any(0))
        if columns.size:
            part = np.arange(mask.shape[1]) - columns[0]
            mask = mask * (1 + (part * count // (columns[-1] - columns[0] + 1)).clip(0, count - 1)).astype(np.uint8)
        write_mask(folder / path.name, mask)
    return folder


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


class Peaks:
    """Watches the largest resident size of the processes that a process starts for decoding."""

    def __init__(self, number: int) -> None:
        self._number, self._most, self._end = number, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def ended(self) -> int:
        """Returns the bytes."""
        self._end.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            for child in children(self._number):
                self._most = max(self._most, sum(map(peak_of, [child, *children(child)])))


def children(number: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{number}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def peak_of(number: int) -> int:
    """Returns the largest resident size of a process that decodes; 0 for others, which look like their parent at first."""
    try:
        text, command = (Path(f"/proc/{number}/{name}").read_text() for name in ("status", "cmdline"))
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", text)
    return int(found[1]) << 10 if found and "revseg.video.worker" in command else 0


if __name__ == "__main__":
    main()
