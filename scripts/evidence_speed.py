"""How long each stage of the evidence takes, and how good the evidence is, by what computes its flow.

    python scripts/evidence_speed.py --root data/DAVIS --sequences dance-twirl                       # CPU: compiled
    python scripts/evidence_speed.py --root data/DAVIS --methods compiled,opencv                     # beside OpenCV
    python scripts/evidence_speed.py --root data/DAVIS --methods compiled,torch --device cuda        # a GPU beside its CPU
    python scripts/evidence_speed.py --root data/DAVIS --sequences libby --max-frames 9 --methods torch   # a trial on the CPU

What is written key=value goes to revseg-train. Nothing is trained, and nothing is kept from one case to the next. Seconds are
those of the wall, and of all cores together; J is that of the evidence alone, at --height, on frames that are not labelled. One
line a case is printed as JSON.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from harness import arguments, machine
from quality.case import Case, Problem, Recipe, held_out

from revseg.device import choose_device
from revseg.evaluation import average, evaluate_masks
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carry import carry
from revseg.evidence.evidence import Evidence
from revseg.evidence.flow import Flow, flow_height
from revseg.evidence.store import FlowStore
from revseg.labels.dataset import DavisDataset
from revseg.runs.phases import recorded
from revseg.tasks.measures import object_ids

METHODS = ("compiled", "opencv", "torch")


def main() -> None:
    made = arguments.parser(__doc__, device=True)
    made.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages, Annotations and ImageSets lie")
    made.add_argument("--sequences", type=arguments.words, help="comma-separated (default: all there are)")
    made.add_argument("--labelled", type=arguments.numbers, default=[5], help="numbers of labelled frames (default: 5)")
    made.add_argument("--methods", type=arguments.some_of(list(METHODS)), default=["compiled"], help=f"of {','.join(METHODS)}")
    made.add_argument("--height", type=int, default=96, help="lines at which J is measured (default: 96)")
    made.add_argument("--max-frames", type=int, help="only the first frames of each sequence")
    made.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    given = made.parse_intermixed_args()
    recipe = Recipe(given.root, 2016, given.height, given.max_frames, None, tuple(given.overrides))
    recipe.check()
    device = choose_device(given.device)
    for sequence in given.sequences or DavisDataset(given.root, year=2016).names:
        for labelled in given.labelled:
            problem = Problem(Case(sequence, labelled, "revseg"), recipe, Path("run"))
            for method in given.methods:
                print(json.dumps(measured(problem, method, device)), flush=True)


def measured(problem: Problem, method: str, device: torch.device) -> dict[str, Any]:
    """Returns the seconds of each stage and J."""
    config = problem.config.evidence
    config = replace(config, flow=replace(config.flow, method=method))
    known = problem.known
    video = problem.labelled(flow_height(known.height, known.native_size[0], config.flow))
    flow = Flow(video.volume, config.flow, store=FlowStore(keep=False, device=device))
    wall, cores = time.perf_counter(), time.process_time()
    with recorded() as phases:
        guidance, classes = problem.config.guidance, 1 + len(object_ids(known))
        shares = guidance.shares if problem.case.labelled > 1 else guidance.shares_of_one
        found = carry(video, classes, flow=flow, config=config, cache=EvidenceCache(None), shares=shares)
    seconds = {"wall": time.perf_counter() - wall, "cores": time.process_time() - cores, **phases.seconds}
    about = {"sequence": known.name, "labelled": problem.case.labelled, "frames": known.frames, "flow": method}
    where = machine.describe(flow.device)
    times = {name: round(value, 2) for name, value in seconds.items()}
    return {**about, "on": where, "J": round(quality(problem, found.evidence), 4), "seconds": times}


def quality(problem: Problem, evidence: Evidence) -> float:
    """Returns J of the likeliest classes."""
    known = problem.known
    masks = evidence.resized((known.height, known.width)).probabilities.max(0).indices.to(torch.uint8).numpy()
    others = held_out(known, problem.labelled_frames)
    truth = (row.numpy() for row in others.labels)
    return average(evaluate_masks((masks[t] for t in others.labelled_frames), truth, object_ids(known)).values()).J.mean


if __name__ == "__main__":
    main()
