"""How good masks of videos are that a network was never trained on: experiment=davis, revseg beside a 3D UNet.

    python scripts/davis_split_benchmark.py --root data/DAVIS                              # height 96, 300 steps, seed 0
    python scripts/davis_split_benchmark.py --root data/DAVIS --height 480 --steps 3000 --seeds 0,1,2 device=cuda
    python scripts/davis_split_benchmark.py --root data/DAVIS --methods revseg --page docs/results/split.md network=large

Both are trained on whole videos of the split train.txt, all frames labelled, by the same recipe, and segment every video of
val.txt without any label of it. J and F are means over all its frames at its own size. Two methods are not trained: the mean mask
of the training videos, cut at the level that is best for them, and what moves by itself, which both networks are shown. What is
written key=value goes to revseg-train. The UNet needs `pip install 'revseg[bench]'`. Results lie in --output, one JSON file
each: a second call measures only what is missing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from math import nan
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F
from harness import ROOT, arguments, machine
from harness.memory import Footprint, stay_within_free_memory
from harness.page import write_section
from harness.process import Reply, run
from harness.results import Record, Results
from harness.settings import compose
from quality import tables

from revseg.config import TrainConfig
from revseg.device import choose_device
from revseg.evaluation import average, evaluate_folders
from revseg.evidence.flow import Flow
from revseg.evidence.motion import motion_evidence
from revseg.evidence.observation import Observation, height_of_evidence
from revseg.labels.dataset import DavisDataset, objects_in
from revseg.labels.masks import resize_mask
from revseg.labels.sample import Sample
from revseg.launch.task import evidence_store, open_task
from revseg.output.folder import write_prediction
from revseg.output.legend import Legend
from revseg.output.source import Source
from revseg.runs.folder import RunFolder
from revseg.segmentation.segmenter import Segmented, Segmenter
from revseg.tasks.dataset import DatasetTask
from revseg.train import train

LEVELS = np.linspace(0.05, 0.95, 19)  # of the mean mask


def revseg(config: TrainConfig) -> None:
    """As a user gets it: revseg-train, and the masks of the validation split that it writes."""
    train(config)


def unet(config: TrainConfig) -> None:
    from quality import unet as monai

    device, task = choose_device(config.device), opened(config)
    stay_within_free_memory(device)
    inputs = len(task.load(task.validation, task.validation.names[0]).inputs)
    net = monai.new_unet(inputs, task.classes, config.seed, device)
    monai.fit(net, task, config)
    for name in task.validation.names:
        found = task.load(task.validation, name)
        observed = Observation(found.video, flow=flow_of(task, found.video))
        write(config, found.video, Segmenter(observed, task.evidence).decide(monai.probabilities(net, found.inputs)))


def motion_alone(config: TrainConfig) -> None:
    """Segments by the evidence that both networks are shown, at the size at which it is found."""
    task = opened(config)
    for video in videos(config, "val"):
        found = motion_evidence(flow_of(task, video), task.classes, config=task.evidence, cache=task.cache)
        probabilities = (found.frame(number)[0] for number in range(found.frames))
        write(config, video, Segmenter(Observation(video), task.evidence).decide(probabilities))


def mean_mask(config: TrainConfig) -> None:
    """Segments by where objects are on the average of the training videos, cut at the level that is best for these."""
    native = [(video.labels != 0).float() for video in videos(config, "train")]
    labels = [F.interpolate(some[None], native[0].shape[1:], mode="area")[0] for some in native]
    mean = torch.stack([some.mean(0) for some in labels]).mean(0)

    def overlap(level: float) -> float:
        found = mean > level
        return fmean((((some > 0.5) & found).sum() / ((some > 0.5) | found).sum()).item() for some in labels)

    best = (mean > max(LEVELS, key=overlap)).byte().numpy()
    for video in videos(config, "val"):
        mask = resize_mask(best, *video.native_size)
        write(config, video, [Segmented(mask, nan)] * video.frames)  # of no probabilities, of which nothing could be expected


METHODS = {"mean-mask": mean_mask, "motion": motion_alone, "revseg": revseg, "unet": unet}
TRAINED = ("revseg", "unet")


def opened(config: TrainConfig) -> DatasetTask:
    """Returns what revseg-train trains on."""
    folder = RunFolder.create(run_of(config).path)
    store, cache = evidence_store(config, folder)
    task = open_task(config, folder, store=store, cache=cache)
    assert isinstance(task, DatasetTask)
    return task


def flow_of(task: DatasetTask, video: Sample) -> Flow:
    """Returns the flow of a video of the validation split, at the height of its evidence."""
    height = height_of_evidence(task.evidence, task.data.height, video.native_size[0])
    fine = task.validation.load(video.name, height=height)
    return Flow(fine.volume, task.evidence.flow, store=task.store, threads=task.threads)


def videos(config: TrainConfig, split: str) -> Iterator[Sample]:
    data = config.data
    dataset = DavisDataset(data.root or "", split, data.year, reading=data.reading)
    return (dataset.load(name, height=data.height) for name in dataset.names)


def write(config: TrainConfig, video: Sample, frames: Iterable[Segmented]) -> None:
    source = Source.of(video)
    legend = Legend(tuple(objects_in(video.masks)))
    write_prediction(frames, source, run_of(config).predictions / video.name, legend=legend, note={})


def run_of(config: TrainConfig) -> RunFolder:
    return RunFolder(Path(str(config.run_dir)))


def measured(method: str, config: TrainConfig) -> Reply:
    """What the process of a case does."""
    device, data = choose_device(config.device), config.data
    footprint, start = Footprint(device), time.perf_counter()
    METHODS[method](config)
    facts = {"seconds": time.perf_counter() - start, "peak_memory_bytes": footprint.peak(), "steps": config.training.steps}
    val = DavisDataset(data.root or "", "val", data.year)
    folders = run_of(config).predictions, val.annotations
    report = evaluate_folders(*folders, val.encoding, protocol="unsupervised", names=val.names)
    means = {name: average(objects.values()) for name, objects in report.sequences.items()}
    sequences = {name: {"J": score.J.mean, "F": score.F.mean, "JF": score.jf} for name, score in means.items()}
    return {"method": method, "seed": config.seed, "device": machine.describe(device), "sequences": sequences} | facts


def cases(given: argparse.Namespace, output: Path) -> dict[str, TrainConfig]:
    """Returns the key of each case, and its configuration."""
    sizes = [f"data.height={given.height}", f"training.steps={given.steps}", "training.evaluate_every=null"]
    shared, found = ["experiment=davis", f"data.root={Path(given.root).resolve()}", *sizes], {}
    for method in given.methods:
        for seed in given.seeds if method in TRAINED else [0]:
            run_dir = f"run_dir={output / method / f'seed{seed}' / 'run'}"
            found[f"{method}/seed{seed}/result"] = compose([*shared, f"seed={seed}", run_dir, *given.overrides])
    return found


def section(results: Sequence[Record], given: argparse.Namespace) -> str:
    devices = ", ".join(sorted({result["device"] for result in results}))
    settings = f" Settings beyond experiment=davis: `{' '.join(given.overrides)}`." if given.overrides else ""
    conditions = (
        f"Trained on the videos of train.txt, {given.steps} steps, height {given.height}, on {devices}; measured on all "
        f"frames of those of val.txt, at their own size. ± is the standard deviation over the seeds.{settings}"
    )
    records = []
    for shared in results:
        records += [shared | {"labelled": 0, "sequence": name} | one for name, one in shared["sequences"].items()]
    parts = [f"## Videos never seen: height {given.height}", conditions, tables.means(records)]
    return "\n\n".join([*parts, "### J&F (J, F)", tables.by_sequence(records, 0, {})])


def main() -> None:
    given, failed = parse(), 0
    output = given.output or ROOT / "runs" / "davis_split_benchmark" / f"height-{given.height}"
    shared = {"height": given.height, "steps": given.steps, "overrides": sorted(given.overrides)}
    try:
        wanted = cases(given, output)
        DavisDataset(given.root, "val")
        results = Results(output, shared)
        for key in [key for key in wanted if results.get(key) is None]:
            folder, (method, seed, _) = (output / key).parent, key.split("/")
            shutil.rmtree(folder, ignore_errors=True)  # half a training would be half its seconds
            reply = run(measured, method, wanted[key], log=folder / "log.txt")
            failed += "error" in reply
            if "error" not in reply:
                results.keep(key, reply)
            print(f"{method}, {seed}: {reply.get('error') or reply['sequences']}", flush=True)
        if records := list(results.records("*/seed*/result").values()):
            page = given.page or output / "quality.md"
            write_section(page, "davis_split_benchmark", f"height {given.height}", section(records, given))
            print(page)
    except (ValueError, OSError) as error:
        sys.exit(f"davis_split_benchmark: {error}")
    sys.exit(f"davis_split_benchmark: {failed} measurements failed; the same call tries them again" if failed else 0)


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    arguments.add_data_set(parser, METHODS, "runs/davis_split_benchmark/height-<height>", "quality.md")
    parser.add_argument("--height", type=int, default=96, help="that frames are resized to (default: 96)")
    parser.add_argument("--steps", type=int, default=300, help="of the trainings (default: 300)")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    main()
