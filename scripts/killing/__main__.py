"""Kills trainings and predictions by SIGKILL at random moments, gives the same commands again, and compares what they end with.

    scripts/kill --runs 100 --seed 0 --root DAVIS
    scripts/kill --runs 2                            the clip of the tests

The recommended recipe at height 96, with few frames and few steps. The training is killed one to three times, the prediction
once: half of the kills come after a random time, the others just as a checkpoint, evidence, a mask, the video or any other file
is being written. At the end weights, the state of the optimizer, masks and measures have to be those of a run that nobody
killed, bit for bit. A run is a function of its seed and number, but for what the machine makes of it. Runs that are done are
not done again; the folders of those that differ are kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from harness import ROOT
from harness.arguments import words
from harness.command import preload
from harness.page import table, write_section
from harness.results import Results

from killing.storm import Recipe, storm, undisturbed

CLIP = ROOT / "tests" / "data" / "clip"
SETTINGS = ("data.max_frames=4", "data.labelled_frames=2", "training.steps=4", "training.checkpoint_every=1")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 where all runs ended with the same content, else 1."""
    given = _parse(arguments)
    output = given.output or ROOT / "runs" / "kill" / f"seed{given.seed}"
    settings = (*SETTINGS, *given.overrides)
    results = Results(output, {"seed": given.seed, "root": str(given.root), "settings": list(settings)}, fresh=given.fresh)
    preload()
    names = given.sequences if given.root else ["clip"]
    for name in names:
        shutil.rmtree(output / "undisturbed" / name, ignore_errors=True)
    recipes = {name: _recipe(given.root, name, settings) for name in names}
    known = {name: undisturbed(recipe, output / "undisturbed" / name) for name, recipe in recipes.items()}
    for number in range(given.runs):
        if results.get(str(number)) is None:
            name, folder = names[number % len(names)], output / "runs" / str(number)
            shutil.rmtree(folder, ignore_errors=True)
            expected, usual = known[name]
            course = storm(recipes[name], folder, Random(f"{given.seed} {number}"), expected=expected, usual=usual)
            results.keep(str(number), course.record() | {"sequence": name})
            print(
                f"{number:>4} {name:<16} {len(course.kills)} kills: {course.problem or 'the same'}", file=sys.stderr, flush=True
            )
            if course.problem is None:
                shutil.rmtree(folder)
    records = [record for number in range(given.runs) if (record := results.get(str(number)))]
    text = summary(records)
    print(text)
    if given.page:
        write_section(given.page, "kill", f"seed {given.seed}", text)
    return int(any(record["problem"] for record in records))


def summary(records: Iterable[dict[str, Any]]) -> str:
    """Returns the table: a row for each kind of moment, and one for all."""
    records = list(records)
    kinds = Counter(kill["kind"] for record in records for kill in record["kills"])
    rows = [
        (kind, kinds[kind], sum(any(kill["kind"] == kind for kill in record["kills"]) for record in records)) for kind in kinds
    ]
    same = sum(record["problem"] is None for record in records)
    told = f"{same} of {len(records)} runs ended bit for bit like one that nobody killed."
    return f"{told}\n\n" + table(("killed", "kills", "runs"), [*sorted(rows), ("all", kinds.total(), len(records))])


def _recipe(root: Path | None, name: str, settings: tuple[str, ...]) -> Recipe:
    if root is None:
        return Recipe(CLIP / "clip.mp4", CLIP / "masks", encoding="davis2017", settings=settings)
    frames, masks = (root.resolve() / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
    return Recipe(frames, masks, encoding="davis2016", settings=settings)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/kill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, help="folder DAVIS, for real video (default: the clip of the tests)")
    parser.add_argument("--sequences", type=words, default=["libby", "blackswan"], help="of --root (default: libby,blackswan)")
    parser.add_argument("--output", type=Path, help="folder of the results (default: runs/kill/seed<seed>)")
    parser.add_argument("--fresh", action="store_true", help="forget the runs that are done")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of revseg-train")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
