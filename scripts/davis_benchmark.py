"""How good masks are after a few labelled frames: revseg, what needs no training, and a 3D UNet, on a DAVIS data set.

    python scripts/davis_benchmark.py --root data/DAVIS                               # height 96, 1, 3, 5 and 9 labelled frames
    python scripts/davis_benchmark.py --root data/DAVIS --methods copy,flow,flow-direct        # seconds: nothing is trained
    python scripts/davis_benchmark.py --root data/DAVIS --height 480 --seeds 0,1,2 --page docs/results/quality.md device=cuda
    python scripts/davis_benchmark.py --root data/DAVIS --sequences libby --labelled 5 network=large evidence=fast

What is written key=value goes to revseg-train. The UNet needs `pip install 'revseg[bench]'`. Results lie in --output, one JSON
file each beside the masks: a second call measures only what is missing there, and writes the section of the page anew from all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from harness import ROOT, arguments, machine
from harness.memory import Footprint, stay_within_free_memory
from harness.page import write_section
from harness.process import Reply, run
from harness.results import Results
from quality import tables
from quality.case import Case, Problem, Recipe, held_out
from quality.methods import METHODS, TRAINED

from revseg.device import choose_device
from revseg.labels.dataset import DavisDataset


def main() -> None:
    given = parse()
    root, steps, overrides = str(Path(given.root).resolve()), given.steps, tuple(given.overrides)
    recipe = Recipe(root, given.year, given.height, given.max_frames, steps, overrides, given.keep_runs)
    name = given.section or f"height {given.height or 'native'}"
    output = given.output or ROOT / "runs" / "davis_benchmark" / name.replace(" ", "-")
    try:
        recipe.check()
        sequences = chosen_sequences(recipe, given.sequences)
        results = Results(output, recipe.identity())
        failed = measure(recipe, given, sequences, results)
        report(recipe, results, given.page or output / "quality.md", name)
    except (ValueError, OSError) as error:
        sys.exit(f"davis_benchmark: {error}")
    if failed:
        sys.exit(f"davis_benchmark: {failed} measurements failed; the same call tries them again")


def measure(recipe: Recipe, given: argparse.Namespace, sequences: list[str], results: Results) -> int:
    """Measures every wanted case that is not there yet. Returns how many failed."""
    cases = [case for case in wanted(given, sequences) if results.get(f"{case.folder}/result") is None]
    failed, start = 0, time.perf_counter()
    for number, case in enumerate(cases, 1):
        folder = results.folder / case.folder
        shutil.rmtree(folder, ignore_errors=True)  # an unfinished one: half a training would be half its seconds
        reply = run(measured, case, recipe, folder, log=folder / "log.txt")
        if "error" not in reply:
            results.keep(f"{case.folder}/result", asdict(case) | reply)
        failed += "error" in reply
        told = reply.get("error") or f"J {reply['J']:.3f}, F {reply['F']:.3f}, {reply['seconds']:.1f} s"
        print(f"{time.perf_counter() - start:6.0f} s  {number} of {len(cases)}: {case}: {told}", flush=True)
    return failed


def measured(case: Case, recipe: Recipe, folder: Path) -> Reply:
    """What the process of a case does; it leaves the masks, (T, H, W) uint8, in masks.npz."""
    problem = Problem(case, recipe, folder / "run")
    held_out(problem.known, problem.labelled_frames)  # says so before the training if nothing is left to measure
    device = choose_device(problem.config.device)
    warm_up(problem, device)
    if case.method == "unet":
        stay_within_free_memory(device)
    footprint, start = Footprint(device), time.perf_counter()
    outcome = METHODS[case.method](problem)
    seconds, peak = time.perf_counter() - start, footprint.peak()
    if not recipe.keep_runs:
        shutil.rmtree(problem.run_dir, ignore_errors=True)
    np.savez_compressed(folder / "masks.npz", masks=np.stack(outcome.masks))
    native = None if outcome.native is None else problem.measure(outcome.native, native=True)
    sizes = {"size": list(problem.known.volume.shape[1:]), "native_size": list(problem.known.native_size)}
    facts = {"labelled_frames": problem.labelled_frames, "seconds": seconds, "peak_memory_bytes": peak, "native": native}
    where = {"device": machine.describe(device), "torch": torch.__version__}
    return problem.measure(outcome.masks) | facts | sizes | where | outcome.facts


def warm_up(problem: Problem, device: torch.device) -> None:
    """Does the same in small, so that libraries are loaded: on the CPU their pages would count as memory of the method.

    Not on a GPU: there they do not count, and kernels that are compiled first belong to the seconds that a user waits.
    """
    if device.type == "cpu":
        recipe = replace(problem.recipe, height=24, max_frames=problem.case.labelled + 1, steps=1)
        small = Problem(problem.case, recipe, problem.run_dir.with_name("warm-up"))
        METHODS[problem.case.method](small)
        shutil.rmtree(small.run_dir, ignore_errors=True)


def wanted(given: argparse.Namespace, sequences: list[str]) -> list[Case]:
    """Returns all cases; what is not trained depends on no seed."""
    seeds = [(method, seed) for method in given.methods for seed in (given.seeds if method in TRAINED else [0])]
    return [Case(sequence, labelled, *one) for sequence in sequences for labelled in given.labelled for one in seeds]


def report(recipe: Recipe, results: Results, page: Path, name: str) -> None:
    """Writes the section of the page from all results there are."""
    folder = Path(recipe.root) / "ImageSets" / str(recipe.year)
    lists = [split for split in ("train", "val") if (folder / f"{split}.txt").is_file()]
    splits = {split: DavisDataset(recipe.root, split, recipe.year).names for split in lists}
    if records := list(results.records("*/labelled*/*/seed*/result").values()):
        write_section(page, "davis_benchmark", name, tables.section(name, recipe, records, splits))
        print(page)


def chosen_sequences(recipe: Recipe, names: list[str] | None) -> list[str]:
    there = DavisDataset(recipe.root, year=recipe.year).names
    for name in names or ():
        if name not in there:
            raise ValueError(f"there is no sequence {name!r} in {recipe.root}; choose among {', '.join(there)}")
    return names or there


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    arguments.add_data_set(parser, METHODS, "runs/davis_benchmark/<section>", "quality.md")
    years = "2016: one object, 2017: several (default: 2016)"
    parser.add_argument("--year", type=int, choices=(2016, 2017), default=2016, help=years)
    height = "that frames are resized to, or native (default: 96)"
    parser.add_argument("--height", type=arguments.height, default=96, help=height)
    parser.add_argument("--max-frames", type=int, help="only the first frames of each sequence")
    parser.add_argument("--sequences", type=arguments.words, help="comma-separated (default: all there are)")
    labelled = "numbers of labelled frames (default: 1,3,5,9)"
    parser.add_argument("--labelled", type=arguments.numbers, default=[1, 3, 5, 9], help=labelled)
    parser.add_argument("--steps", type=int, help="of the trainings (default: the experiment's)")
    parser.add_argument("--section", help="name of the page's section (default: 'height <height>')")
    parser.add_argument("--keep-runs", action="store_true", help="keep the run folders of revseg-train")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    main()
