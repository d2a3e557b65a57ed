"""Masks of objects that leave the picture and come back, after one labelled frame.

    python scripts/leave_and_return.py --root data/DAVIS --sequences libby,kite-surf

Makes clips of each sequence (``quality/returning.py``), in which the object is hidden for 12 of 40 frames, trains on the label of
the first frame, and tells J of the frames after the return and how many of the frames between have an empty mask. What is written
key=value goes to revseg-train. Results lie in --output: a second call measures only what is missing there.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import numpy as np
from harness import ROOT, arguments
from harness.page import table, write_section
from harness.process import Reply, run
from harness.results import Record, Results
from quality.case import Case, Problem, Recipe
from quality.methods import METHODS
from quality.returning import AFTER, BETWEEN, Clip, clips, write

from revseg.evaluation import evaluate_masks
from revseg.labels.dataset import DavisDataset


def main() -> None:
    made = arguments.parser(__doc__)
    arguments.add_data_set(made, ["flow-fine", "revseg"], "runs/leave_and_return", "quality.md")
    made.add_argument("--sequences", type=arguments.words, help="comma-separated (default: all there are)")
    made.add_argument("--height", type=arguments.height, default=96, help="that frames are resized to (default: 96)")
    made.add_argument("--steps", type=int, help="of the trainings (default: the experiment's)")
    given = made.parse_intermixed_args()
    output = given.output or ROOT / "runs" / "leave_and_return"
    recipe = Recipe(str(output / "data"), 2016, given.height, None, given.steps, tuple(given.overrides))
    try:
        recipe.check()
        names = make(given.root, given.sequences, output / "data")
        results = Results(output, recipe.identity())
        for case in (Case(name, 1, method, seed) for name in names for method in given.methods for seed in given.seeds):
            if results.get(f"{case.folder}/result") is None:
                reply = run(measured, case, recipe, output / case.folder, log=output / case.folder / "log.txt")
                if "error" in reply:
                    raise ValueError(f"{case}: {reply['error']}")
                results.keep(f"{case.folder}/result", asdict(case) | reply)
                print(
                    f"{case}: J {reply['after']:.3f} after the return, {reply['empty']:.0%} of the masks between are empty",
                    flush=True,
                )
        page = given.page or output / "quality.md"
        write_section(page, "leave_and_return", "objects that return", section(list(results.records("*/*/*/*/result").values())))
        print(page)
    except (ValueError, OSError) as error:
        sys.exit(f"leave_and_return: {error}")


def make(root: str, sequences: list[str] | None, data: Path) -> list[str]:
    """Writes the clips of the sequences, each with the next one of them as what hides it. Returns their names."""
    source = DavisDataset(root, year=2016)
    chosen, names = sequences or source.names, []
    for name in chosen:
        if name not in source.names:
            raise ValueError(f"there is no sequence {name!r} in {root}; choose among {', '.join(source.names)}")
        other = source.names[(source.names.index(name) + 1) % len(source.names)]
        for clip in clips(*(source.load(one, height=None) for one in (name, other))):
            check(clip)
            write(data, clip)
            names.append(clip.name)
    lists = data / "ImageSets" / "2016"
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "val.txt").write_text("".join(f"{path.name}\n" for path in sorted((data / "JPEGImages" / "480p").iterdir())))
    return names


def check(clip: Clip) -> None:
    """Raises ValueError where the truth of a clip is not what it is made for."""
    if clip.truth[list(BETWEEN)].any() or not clip.truth[0].any() or not clip.truth[AFTER.stop - 1].any():
        raise ValueError(f"{clip.name}: the object does not leave and return there; choose other sequences")


def measured(case: Case, recipe: Recipe, folder: Path) -> Reply:
    """What the process of a case does. J: at the video's own size, of the frames after the return in which the object is seen."""
    problem = Problem(case, recipe, folder / "run")
    found = METHODS[case.method](problem).native
    assert found is not None
    truth = problem.known.masks.numpy()
    after = [frame for frame in AFTER if (truth[frame] == 1).any()]
    J = evaluate_masks((found[frame] for frame in after), (truth[frame] for frame in after), [1])[1].J
    np.savez_compressed(folder / "masks.npz", masks=np.stack(found))
    return {"after": J.mean, "empty": fmean(not found[frame].any() for frame in BETWEEN)}


def section(records: list[Record]) -> str:
    kinds = sorted({record["sequence"].partition("-")[0] for record in records})
    rows = []
    for method in sorted({record["method"] for record in records}):
        for kind in kinds:
            some = [one for one in records if one["method"] == method and one["sequence"].startswith(f"{kind}-")]
            rows += [(method, one["sequence"], one["seed"], f"{one['after']:.3f}", f"{one['empty']:.0%}") for one in some]
            if some:
                mean = fmean(one["after"] for one in some), fmean(one["empty"] for one in some)
                rows.append((method, f"**mean of {kind}**", "", f"{mean[0]:.3f}", f"{mean[1]:.0%}"))
    return "\n".join(
        [
            "## Objects that leave and return: one labelled frame",
            "",
            f"Clips of {AFTER.stop} frames, the first one labelled; the object is hidden in frames {BETWEEN.start} to "
            f"{BETWEEN.stop - 1}: the video is interrupted by another one (cut), a board slides before the object (cover), or "
            "the camera turns away (away). J at the video's own size, of the frames after the return.",
            "",
            table(["method", "clip", "seed", "J after the return", "empty masks between"], rows, 2),
        ]
    )


if __name__ == "__main__":
    main()
