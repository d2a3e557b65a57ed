"""The seconds that revseg-plan forecasts for whole trainings, beside what they take.

    python scripts/check_time_forecast.py --root DAVIS

The trainings are those of check_run_forecast.py, with fewer steps the larger they are; before them runs the film of
experiment=demo, the short run that revseg-plan advises. Each has a cache of its own. Then revseg-plan is asked for each, with a
cache where the film alone is remembered, and with one where all others are.

Other processes may share the machine. So the processor seconds of a whole process with its children are what is measured, and
what a run remembers of its phases is made shorter by as much as these are less than the seconds that passed. Runs that are done
are kept in runs/check_time_forecast.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch
from check_run_forecast import CASES, Case, environment, train
from harness import ROOT, arguments
from harness.machine import facts, lines
from harness.page import row, table, write_section
from harness.results import Record, Results

STEPS = {96: 20, 240: 8, 480: 4}
"""Steps of a training, by its height: each takes about a minute on a processor with AVX2."""
FILM = "demo"
WHOLE = re.compile(r"^whole +([\d.]+) s$", re.MULTILINE)


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder DAVIS, where JPEGImages and Annotations lie")
    parser.add_argument("--cases", type=arguments.numbers, default=list(range(len(CASES))), help="which (default: all)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "forecast.md", help="page")
    given = parser.parse_args()
    found = facts("cpu", torch.get_num_threads())
    results = Results(ROOT / "runs" / "check_time_forecast", found)
    film = [sys.executable, "-m", "revseg.train", "experiment=demo", f"run_dir={results.folder / FILM}", "device=cpu"]
    commands = {FILM: film} | {
        CASES[number].key: [*train(CASES[number], given.root, results.folder), f"training.steps={STEPS[CASES[number].height]}"]
        for number in given.cases
    }
    for key, command in commands.items():
        if results.get(key) is None:
            results.keep(key, measured(command, results.folder / key))
            print(key, results.get(key), file=sys.stderr, flush=True)
    kept = {key: results.get(key) or {} for key in commands}
    rows = [cells(case, commands[case.key], kept, results.folder) for case in (CASES[number] for number in given.cases)]
    header = (
        "sequence",
        "height",
        "frames",
        "K",
        "objects",
        "steps",
        "measured s",
        "by the film",
        "ratio",
        "by the others",
        "ratio",
    )
    text = table(header, rows)
    print(text)
    write_section(given.output, "check_time_forecast", "cpu", f"{lines(found)}\n{text}")


def measured(command: list[str], folder: Path) -> Record:
    """Trains; returns the processor seconds of it, those that passed, and what the run remembers."""
    shutil.rmtree(folder, ignore_errors=True)  # what was found before would be taken from there
    home, log = folder.with_suffix(".home"), folder.with_suffix(".txt")
    shutil.rmtree(home, ignore_errors=True)
    began = time.perf_counter()
    with open(log, "w") as file, subprocess.Popen(command, stdout=file, stderr=file, env=at_home(home)) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    passed, processor = time.perf_counter() - began, used.ru_utime + used.ru_stime
    remembered = list(home.glob("revseg/times/*.json"))
    if process.returncode or not remembered:
        sys.exit(f"check_time_forecast: {' '.join(command)} failed:\n{log.read_text()[-1000:]}")
    (run,) = json.loads(remembered[0].read_text())
    return {"processor": processor, "passed": passed, "file": remembered[0].name, "run": run}


def cells(case: Case, command: list[str], kept: dict[str, Record], folder: Path) -> list[object]:
    """Returns the row of a training."""
    taken = kept[case.key]["processor"]
    others = [one for key, one in kept.items() if key not in (FILM, case.key)]
    by_film, by_others = (planned(command, runs, folder / "plan.home") for runs in ([kept[FILM]], others))
    told = [case.sequence, case.height, case.frames, case.labelled, case.objects, STEPS[case.height], f"{taken:.0f}"]
    found = [*told, f"{by_film:.0f}", f"{by_film / taken:.2f}", f"{by_others:.0f}", f"{by_others / taken:.2f}"]
    print(row(found), file=sys.stderr, flush=True)
    return found


def planned(command: list[str], runs: list[Record], home: Path) -> float:
    """Returns the seconds that revseg-plan tells for a training, of which some runs are remembered."""
    path = home / "revseg" / "times" / runs[0]["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([on_an_idle_machine(one) for one in runs]))
    python, _, _, video, *words = command
    words = [word for word in words if not word.startswith("run_dir=")]
    plan = [python, "-m", "revseg.plan", video.removeprefix("data.video="), *words]
    text = subprocess.run(plan, env=at_home(home), capture_output=True, text=True, check=True).stdout
    if (found := WHOLE.search(text)) is None:
        sys.exit(f"check_time_forecast: {' '.join(plan)} told no time:\n{text}")
    return float(found[1])


def on_an_idle_machine(record: Record) -> Record:
    """Returns what a run remembers, as if it had waited for no other process."""
    share = record["processor"] / record["passed"]
    return {"work": record["run"]["work"], "seconds": {name: share * one for name, one in record["run"]["seconds"].items()}}


def at_home(home: Path) -> dict[str, str]:
    return environment() | {"XDG_CACHE_HOME": str(home)}


if __name__ == "__main__":
    main()
