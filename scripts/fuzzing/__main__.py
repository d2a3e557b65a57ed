"""Damages small inputs of every kind and gives them to the commands: each has to end with success or with one sentence.

    scripts/fuzz --cases 1000 --seed 0
    scripts/fuzz --cases 200 --seed 3 --kinds videos,masks
    scripts/fuzz --replay runs/fuzz/seed0/failures/17        types the command of a kept case again, in a copy of its folder
    scripts/fuzz --coverage 60                               guided by coverage, over the readers alone; needs atheris

A case is a function of its seed and number. A command has 30 s and 4 GB of memory beyond its libraries; it passes with exit
status 0 and no word on stderr, or with 1, one sentence, and nothing half-written. Cases that are done are not done again; the
folders of those that fail are kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from harness import ROOT
from harness.arguments import some_of
from harness.command import Outcome, Process, preload
from harness.page import table, write_section
from harness.results import Results

from fuzzing import healthy
from fuzzing.healthy import Healthy
from fuzzing.kinds import KINDS, QUICK, Line
from fuzzing.verdict import BYTES, SECONDS, fault

HEADER = ("input", "cases", "success", "one sentence", "faults", "longest, s", "most memory, GB")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 where every case passed, else 1."""
    given = _parse(arguments)
    if given.replay:
        return _replay(given.replay)
    if given.coverage:
        from fuzzing.coverage import explore

        return explore(given.coverage, given.seed)
    output = given.output or ROOT / "runs" / "fuzz" / f"seed{given.seed}"
    results = Results(output, {"seed": given.seed}, fresh=given.fresh)
    preload()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        good = _healthy(Path(folder) / "healthy")
        for number in range(given.start, given.start + given.cases):
            kind = _kind(given.seed, number, given.kinds)
            if (record := results.get(str(number))) is None or record["kind"] != kind:
                record = _case(good, Path(folder) / str(number), kind=kind, seed=given.seed, number=number, output=output)
                results.keep(str(number), record)
            if record["fault"]:
                print(f"{number:>6} {record['kind']:<14} {record['fault']}: {record['said'][-300:]}", file=sys.stderr, flush=True)
    numbers = map(str, range(given.start, given.start + given.cases))
    records = [record for number in numbers if (record := results.get(number))]
    text = summary(records)
    print(text)
    if given.page:
        some = "" if given.kinds == list(KINDS) else f", {', '.join(given.kinds)}"
        write_section(given.page, "fuzz", f"seed {given.seed}{some}", text)
    return int(any(record["fault"] for record in records))


def summary(records: Iterable[dict[str, Any]]) -> str:
    """Returns the table: a row for each kind, and one for all."""
    records = list(records)
    rows = []
    for name in (*KINDS, "all"):
        if not (chosen := [record for record in records if name in (record["kind"], "all")]):
            continue
        faults = sum(record["fault"] is not None for record in chosen)
        counts = [sum(record["status"] == status and not record["fault"] for record in chosen) for status in (0, 1)]
        seconds, peak = (max(record[key] for record in chosen) for key in ("seconds", "peak"))
        rows.append((name, len(chosen), *counts, faults, f"{seconds:.1f}", f"{peak / 1e9:.1f}"))
    return table(HEADER, rows)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--start", type=int, default=0, help="number of the first case (default: 0)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", type=some_of(list(KINDS)), default=list(KINDS), help=f"of {','.join(KINDS)} (default: all)")
    parser.add_argument("--output", type=Path, help="folder of the results (default: runs/fuzz/seed<seed>)")
    parser.add_argument("--fresh", action="store_true", help="forget the cases that are done")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written")
    parser.add_argument("--replay", type=Path, metavar="CASE", help="folder of a kept case")
    parser.add_argument("--coverage", type=int, metavar="SECONDS", help="explore the readers for so long")
    return parser.parse_args(arguments)


def _kind(seed: int, number: int, kinds: list[str]) -> str:
    return Random(f"{seed} {number}").choices(kinds, [KINDS[name][1] for name in kinds])[0]


def _healthy(folder: Path) -> Healthy:
    """The good inputs, and a run that was trained on some of them."""
    folder.mkdir()
    good = healthy.write(folder)
    shutil.copytree(good / "frames-png", good / "frames")
    shutil.copytree(good / "some masks", good / "some")
    outcome = _run(Line("train", ["data.video=frames", "data.masks=some", *QUICK]), folder, 300)
    if outcome.status:
        raise RuntimeError(f"the healthy run failed: {outcome.error}")
    return good


def _case(good: Healthy, folder: Path, *, kind: str, seed: int, number: int, output: Path) -> dict[str, Any]:
    """Makes a case, runs its command, and keeps its folder where it fails."""
    folder.mkdir()
    line = KINDS[kind][0](good, folder, Random(f"{seed} {number} {kind}"))
    shutil.copytree(folder, untouched := folder.with_name(f"{number}.untouched"), symlinks=True, ignore=_pipes)
    outcome = _run(line, folder)
    found = fault(outcome, folder)
    if found:
        kept = output / "failures" / str(number)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(untouched, kept, symlinks=True)
        shutil.copy(folder / ".error", kept / ".error")
        (kept / ".line.json").write_text(json.dumps([line.command, line.arguments]))
    for made in (folder, untouched):
        shutil.rmtree(made, ignore_errors=True)
    record = {"kind": kind, "fault": found, "status": outcome.status, "seconds": outcome.seconds, "peak": outcome.peak}
    return record | {"line": [line.command, *line.arguments], "said": outcome.error[-1000:]}


def _run(line: Line, folder: Path, seconds: float = SECONDS) -> Outcome:
    process = Process(line.command, line.arguments, folder, memory=BYTES)
    if not process.wait(seconds):
        process.kill()
    return process.outcome()


def _pipes(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_fifo()}


def _replay(kept: Path) -> int:
    preload()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        folder = Path(made) / "case"
        shutil.copytree(kept, folder, symlinks=True)
        line = Line(*json.loads((kept / ".line.json").read_text()))
        print(f"revseg-{line.command} {' '.join(line.arguments)}")
        outcome = _run(line, folder)
        print(outcome.error, end="")
        found = fault(outcome, folder)
        print(f"exit status {outcome.status}, {outcome.seconds:.1f} s: {found or 'passes'}")
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
