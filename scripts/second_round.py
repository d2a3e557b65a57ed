"""A further round after one more label: how long it takes beside the first, and how good it is beside a run from nothing.

    python scripts/second_round.py --root data/DAVIS                                          # ten sequences, 5 and then 6 labels
    python scripts/second_round.py --root data/DAVIS --sequences libby --steps 10,15,20,30    # which number of steps
    python scripts/second_round.py --root data/DAVIS --sequences libby --max-frames 20 evidence=fast

Of each sequence three runs of revseg-train, each a process of its own: the first round on evenly spaced labels; a further round
from it, with the label that it asked for first; and a run from nothing on the same labels, to compare the masks. This one takes
the evidence of the further round, which is the same to the bit, so that its time says nothing. What is written key=value goes to
revseg-train. Results lie in --output: a second call measures only what is missing there, and writes the section of the page anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from harness import ROOT, arguments
from harness.page import table, write_section
from harness.results import Record, Results, write_json

from revseg.labels.dataset import DavisDataset, evenly_spaced
from revseg.labels.files import mask_files
from revseg.runs.folder import RunFolder
from revseg.tasks.one_video import FINETUNE_SHARE_SHOWN
from revseg.training.config import TrainingConfig

RESERVED = ("run_dir", "from", "from_run", "data.video", "data.masks", "data.truth", "data.max_frames", "training.finetune_steps")


def main() -> None:
    given = parse()
    output = given.output or ROOT / "runs" / "second_round"
    try:
        data = DavisDataset(given.root)
        identity = {"labelled": given.labelled, "max_frames": given.max_frames, "overrides": sorted(given.overrides)}
        results = Results(output, identity)
        for name in given.sequences or data.names:
            for steps in given.steps:
                key = f"{name}/{steps}"
                if results.get(key) is None:
                    results.keep(key, measured(Sequence(data, name, given, output / name), steps))
                    print(told(name, results.get(key) or {}), flush=True)
        page = given.page or output / "second_round.md"
        write_section(page, "second_round", given.section, section(results, given))
    except (ValueError, OSError) as error:
        sys.exit(f"second_round: {error}")
    print(page)


class Sequence:
    """A video of the data set, and the folder of its runs."""

    def __init__(self, data: DavisDataset, name: str, given: argparse.Namespace, folder: Path) -> None:
        self.folder, self.labels = folder, folder / "labels"
        self.masks = mask_files(data.annotations / name)[: given.max_frames]
        self.labelled = [self.masks[i] for i in evenly_spaced(len(self.masks), given.labelled)]
        frames = [] if given.max_frames is None else [f"data.max_frames={given.max_frames}"]
        paths = {"video": data.folder_of(name), "truth": data.annotations / name, "encoding": data.encoding, "masks": self.labels}
        self.arguments = [*(f"data.{key}={value}" for key, value in paths.items()), *frames, *given.overrides]

    def label(self, *further: str) -> None:
        """Lays the evenly spaced labels into the folder, and those of further frames."""
        shutil.rmtree(self.labels, ignore_errors=True)
        self.labels.mkdir(parents=True)
        for mask in [*self.labelled, *(mask for mask in self.masks if mask.stem in further)]:
            shutil.copy(mask, self.labels)

    def train(self, run: str, *more: str, evidence_of: str | None = None) -> Record:
        """Trains in a process of its own, where that was not done before; returns what it took and reached.

        evidence_of: the run whose evidence is there already.
        """
        folder, kept, log = self.folder / run, self.folder / f"{run}.json", self.folder / f"{run}.log"
        if kept.exists():
            found: Record = json.loads(kept.read_text())
            return found
        shutil.rmtree(folder, ignore_errors=True)  # half a training would be half its time
        if evidence_of is not None:
            RunFolder(folder).share_evidence(RunFolder(self.folder / evidence_of))
        command = [sys.executable, "-m", "revseg.train", *self.arguments, f"run_dir={folder}", *more]
        with open(log, "w") as file:
            began = time.perf_counter()
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
        if status:
            raise ValueError(f"revseg-train failed: {log.read_text().splitlines()[-1]} (see {log})")
        metrics = json.loads((folder / "metrics.json").read_text())
        reached = {name: metrics[name] for name in ("JF", "J", "F", "steps", "phases", "label_next", "labelled_frames")}
        write_json(kept, reached | {"seconds": seconds, "processor": used.ru_utime + used.ru_stime})
        return self.train(run)


def measured(sequence: Sequence, steps: int) -> Record:
    """Returns what the three runs took and reached."""
    sequence.label()
    first = sequence.train("first")
    asked, further = first["label_next"][0], f"further-{steps}"
    sequence.label(asked)
    second = sequence.train(further, f"from={sequence.folder / 'first'}", f"training.finetune_steps={steps}")
    scratch = sequence.train("scratch", evidence_of=further)
    return {"first": first, "second": second, "scratch": scratch, "asked": asked, "frames": len(sequence.masks), "steps": steps}


def told(name: str, record: Record) -> str:
    first, second, scratch = (record[run] for run in ("first", "second", "scratch"))
    return (
        f"{name}, {record['steps']} steps: {second['processor']:.0f} of {first['processor']:.0f} processor seconds, "
        f"J&F {second['JF']:.3f}, from nothing {scratch['JF']:.3f}, with a label less {first['JF']:.3f}"
    )


def section(results: Results, given: argparse.Namespace) -> str:
    """Returns the table of all results, and the means of each number of steps."""
    by_steps: dict[int, dict[str, Record]] = {}
    for key, record in results.records("*/[0-9]*").items():
        by_steps.setdefault(record["steps"], {})[key.split("/")[0]] = record
    rows = []
    for _, records in sorted(by_steps.items()):
        rows += [row(name, record) for name, record in records.items()]
        if len(records) > 1:
            rows.append(row("**mean**", mean(list(records.values()))))
    header = (
        "sequence",
        "label",
        "frames",
        "steps",
        "first s",
        "further s",
        "ratio",
        "J&F first",
        "further",
        "from nothing",
        "gain",
    )
    frames = f", the first {given.max_frames} frames" if given.max_frames else ""
    more = f", with {' '.join(given.overrides)}" if given.overrides else ""
    told = f"{given.labelled} labels, then one more{frames}{more}. s: processor seconds of the whole process."
    return f"{told}\n\n{table(header, rows, words=2)}"


def row(name: str, record: Record) -> list[str]:
    first, second, scratch = (record[run] for run in ("first", "second", "scratch"))
    seconds = first["processor"], second["processor"], record.get("ratio", second["processor"] / first["processor"])
    reached = [f"{one['JF']:.3f}" for one in (first, second, scratch)]
    times = [f"{seconds[0]:.0f}", f"{seconds[1]:.0f}", f"{seconds[2]:.2f}"]
    facts = [name, record["asked"], f"{record['frames']:.0f}", str(record["steps"])]
    return [*facts, *times, *reached, f"{second['JF'] - scratch['JF']:+.3f}"]


def mean(records: list[Record]) -> Record:
    runs: dict[str, Any] = {
        run: {name: fmean(record[run][name] for record in records) for name in ("processor", "JF")}
        for run in ("first", "second", "scratch")
    }
    ratio = fmean(record["second"]["processor"] / record["first"]["processor"] for record in records)
    frames = fmean(record["frames"] for record in records)
    return runs | {"ratio": ratio, "asked": "", "frames": frames, "steps": records[0]["steps"]}


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages, Annotations and ImageSets lie")
    parser.add_argument("--sequences", type=arguments.words, help="comma-separated (default: all there are)")
    parser.add_argument("--labelled", type=int, default=5, help="labels of the first round (default: 5)")
    parser.add_argument("--max-frames", type=int, help="only the first frames of each sequence")
    steps = [TrainingConfig().steps_of_later_rounds(FINETUNE_SHARE_SHOWN)]
    parser.add_argument("--steps", type=arguments.numbers, default=steps, help=f"of the further round (default: {steps[0]})")
    parser.add_argument("--output", type=Path, help="folder of the results (default: runs/second_round)")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: second_round.md in --output)")
    parser.add_argument("--section", default="height 96", help="name of the page's section (default: 'height 96')")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    given = parser.parse_intermixed_args()
    if refused := [word for word in given.overrides if word.partition("=")[0] in RESERVED]:
        parser.error(f"{refused[0]}: this script sets it itself")
    return given


if __name__ == "__main__":
    main()
