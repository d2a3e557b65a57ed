"""How good masks are after a few labelled frames: revseg, what needs no training, and a 3D UNet, on a DAVIS data set.

    python scripts/davis_benchmark.py --root data/DAVIS                               # height 96, 1, 3, 5 and 9 labelled frames
    python scripts/davis_benchmark.py --root data/DAVIS --methods copy,flow,flow-direct        # seconds: nothing is trained
    python scripts/davis_benchmark.py --root data/DAVIS --height 480 --seeds 0,1,2 --page docs/quality.md device=cuda
    python scripts/davis_benchmark.py --root data/DAVIS --sequences libby --labelled 5 network=base training.ema=0.99

What is written key=value goes to revseg-train. Optical flow and the UNet need `pip install 'revseg[bench]'`. Results lie in
--output, one JSON file each: a second call measures only what is missing there, and writes results.csv, a contact sheet per
sequence, and the section of the page anew from all that is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # so that the checkout need not be installed

from davis_benchmark import page, results, sheet, tables, trial  # noqa: E402
from davis_benchmark.case import Case, Recipe  # noqa: E402
from davis_benchmark.methods import METHODS  # noqa: E402
from davis_benchmark.problem import load  # noqa: E402

from revseg.labels.dataset import DavisDataset  # noqa: E402


def main() -> None:
    arguments = parse()
    recipe = Recipe(
        str(Path(arguments.root).resolve()),
        arguments.year,
        arguments.height,
        arguments.max_frames,
        arguments.steps,
        tuple(arguments.overrides),
        arguments.keep_runs,
    )
    name = arguments.section or f"height {arguments.height or 'native'}"
    output = arguments.output or ROOT / "runs" / "davis_benchmark" / name.replace(" ", "-")
    try:
        recipe.check()
        sequences = chosen_sequences(recipe, arguments.sequences)
        results.open_folder(output, recipe)
        failed = measure(recipe, arguments, sequences, output)
        written = report(recipe, output, arguments.page or output / "quality.md", name)
    except (ValueError, OSError) as error:
        sys.exit(f"davis_benchmark: {error}")
    print("\n".join(map(str, written)))
    if failed:
        sys.exit(f"davis_benchmark: {failed} measurements failed; the same call tries them again")


def measure(recipe: Recipe, arguments: argparse.Namespace, sequences: list[str], output: Path) -> int:
    """Every wanted case that is not there yet. Returns how many failed."""
    cases = [case for case in wanted(arguments, sequences) if not results.finished(output, case)]
    failed, start = 0, time.perf_counter()
    for number, case in enumerate(cases, 1):
        wrong = trial.run(case, recipe, output, arguments.clip)
        failed += wrong is not None
        print(
            f"{time.perf_counter() - start:6.0f} s  {number} of {len(cases)}: {case}: {wrong or brief(output, case)}", flush=True
        )
    return failed


def wanted(arguments: argparse.Namespace, sequences: list[str]) -> Iterator[Case]:
    """What is not trained depends on no seed."""
    for sequence in sequences:
        for labelled in arguments.labelled:
            for method in arguments.methods:
                for seed in arguments.seeds if METHODS[method].trained else [0]:
                    yield Case(sequence, labelled, method, seed)


def brief(output: Path, case: Case) -> str:
    (record,) = (record for record in results.records(output) if results.case_of(record) == case)
    return f"J {record['J']:.3f}, F {record['F']:.3f}, {record['seconds']:.1f} s"


def report(recipe: Recipe, output: Path, path: Path, name: str) -> list[Path]:
    """CSV, page and contact sheets of all results there are; returns the paths."""
    records = results.records(output)
    if not records:
        return []
    tables.write_csv(records, output / "results.csv")
    page.write_section(path, name, page.section(name, recipe, records, splits(recipe)))
    return [output / "results.csv", path, *sheets(recipe, output, records)]


def sheets(recipe: Recipe, output: Path, records: list[results.Record]) -> Iterator[Path]:
    """One per sequence: of revseg where it was measured, and of 5 labelled frames."""
    for sequence in sorted({record["sequence"] for record in records}):
        some = [record for record in records if record["sequence"] == sequence]
        record = min(
            some, key=lambda r: (r["method"] != "revseg", abs(r["labelled"] - 5), list(METHODS).index(r["method"]), r["seed"])
        )
        case, path = results.case_of(record), output / "sheets" / f"{sequence}.png"
        heading = f"{case}: J {record['J']:.3f}, F {record['F']:.3f} on the frames not labelled"
        sheet.write_sheet(path, heading, load(sequence, recipe), results.masks_of(output, case), record["labelled_frames"])
        yield path


def chosen_sequences(recipe: Recipe, names: list[str] | None) -> list[str]:
    there = DavisDataset(recipe.root, year=recipe.year).names
    for name in names or ():
        if name not in there:
            raise ValueError(f"there is no sequence {name!r} in {recipe.root}; choose among {', '.join(there)}")
    return names or there


def splits(recipe: Recipe) -> dict[str, list[str]]:
    """The lists of the data set that exist."""
    lists = {"train": "train", "val": "val"}
    folder = Path(recipe.root) / "ImageSets" / str(recipe.year)
    return {name: DavisDataset(recipe.root, name, recipe.year).names for name in lists if (folder / f"{name}.txt").is_file()}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages and Annotations lie")
    parser.add_argument(
        "--year", type=int, choices=(2016, 2017), default=2016, help="2016: one object, 2017: several (default: 2016)"
    )
    parser.add_argument("--height", type=height, default=96, help="that frames are resized to, or native (default: 96)")
    parser.add_argument("--max-frames", type=int, help="only the first frames of each sequence")
    parser.add_argument("--sequences", type=words, help="comma-separated (default: all there are)")
    parser.add_argument("--labelled", type=numbers, default=[1, 3, 5, 9], help="numbers of labelled frames (default: 1,3,5,9)")
    parser.add_argument("--seeds", type=numbers, default=[0], help="of the trainings (default: 0)")
    parser.add_argument("--methods", type=methods, default=list(METHODS), help=f"of {','.join(METHODS)} (default: all)")
    parser.add_argument("--steps", type=int, help="of the trainings (default: the experiment's)")
    parser.add_argument(
        "--clip", type=int, help="frames that the UNet sees at once (default: all, or as many as fit into memory)"
    )
    parser.add_argument("--output", type=Path, help="folder of the results (default: runs/davis_benchmark/<section>)")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: quality.md in --output)")
    parser.add_argument("--section", help="its name (default: 'height <height>')")
    parser.add_argument("--keep-runs", action="store_true", help="keep the run folders of revseg-train")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    return parser.parse_intermixed_args()


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def numbers(text: str) -> list[int]:
    return [int(word) for word in words(text)]


def height(text: str) -> int | None:
    return None if text == "native" else int(text)


def methods(text: str) -> list[str]:
    for word in words(text):
        if word not in METHODS:
            raise argparse.ArgumentTypeError(f"there is no method {word!r}; choose among {', '.join(METHODS)}")
    return words(text)


if __name__ == "__main__":
    main()
