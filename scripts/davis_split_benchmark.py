"""How good masks of videos are that a network was never trained on: experiment=davis, revseg beside a 3D UNet.

    python scripts/davis_split_benchmark.py --root data/DAVIS                              # height 96, 300 steps, seed 0
    python scripts/davis_split_benchmark.py --root data/DAVIS --height 480 --steps 3000 --seeds 0,1,2 device=cuda
    python scripts/davis_split_benchmark.py --root data/DAVIS --methods revseg network=base

Both are trained on whole videos of the split train.txt, all frames labelled, by the same recipe, and segment every video of
val.txt without any label of it. J and F are means over all its frames at its own size. Two methods are not trained: the mean mask
of the training videos, cut at the level that is best for them, and what moves by itself, which both networks are shown. What is
written key=value goes to revseg-train. The UNet needs `pip install 'revseg[bench]'`. Results lie in --output, one JSON file
each: a second call measures only what is missing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # so that the checkout need not be installed

from davis_benchmark.footprint import Footprint, name_of, stay_within_free_memory  # noqa: E402
from davis_benchmark.page import write_section  # noqa: E402
from davis_benchmark.results import write_json  # noqa: E402
from davis_benchmark.tables import row  # noqa: E402

from revseg.cli.settings import Settings  # noqa: E402
from revseg.config import TrainConfig  # noqa: E402
from revseg.device import choose_device  # noqa: E402
from revseg.evaluation import average, evaluate_folders  # noqa: E402
from revseg.evidence.motion import motion_evidence  # noqa: E402
from revseg.labels.dataset import DavisDataset  # noqa: E402
from revseg.labels.masks import resize_mask  # noqa: E402
from revseg.labels.sample import Sample  # noqa: E402
from revseg.output.folder import Source, write_prediction  # noqa: E402
from revseg.runs.folder import RunFolder  # noqa: E402
from revseg.segment.segmenter import Segmented, decide  # noqa: E402
from revseg.tasks.dataset import Davis  # noqa: E402
from revseg.train import open_experiment, train  # noqa: E402

WHOLE = 1 << 30  # frames of a clip: all there are
LEVELS = np.linspace(0.05, 0.95, 19)  # of the mean mask


@dataclass(frozen=True)
class Case:
    method: str
    seed: int
    config: TrainConfig
    folder: Path

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def predictions(self) -> Path:
        return RunFolder(self.folder / "run").predictions


def revseg(case: Case) -> None:
    """As a user gets it: revseg-train, and the masks of the validation split that it writes."""
    train(case.config)


def unet(case: Case) -> None:
    from davis_benchmark import unet as monai

    device, experiment = choose_device(case.config.device), davis(case)
    stay_within_free_memory(device)
    net = monai.new_unet(case.config.network.inputs, case.config.network.classes, case.config.seed, device)
    monai.fit(net, experiment, case.config, clip=WHOLE)
    for name in experiment.validation.names:
        video = experiment.load(experiment.validation, name)
        found = monai.probabilities(net, video.inputs, WHOLE)
        write(case, video, decide(found, video.native_size, smoothing=experiment.smoothing(video)))


def motion_alone(case: Case) -> None:
    """The evidence that both networks are shown."""
    experiment = davis(case)
    for video in videos(case, "val"):
        evidence = motion_evidence(experiment.flow(experiment.validation, video), experiment.classes)
        write(case, video, decide((evidence[:-1] / 255).unbind(1), video.native_size))


def davis(case: Case) -> Davis:
    """What revseg-train trains on."""
    experiment = open_experiment(case.config, RunFolder.create(case.config.run_dir or ""))
    assert isinstance(experiment, Davis)
    return experiment


def mean_mask(case: Case) -> None:
    """Where objects are on the average of the training videos, cut at the level that is best for these."""
    native = [(video.labels != 0).float() for video in videos(case, "train")]
    labels = [F.interpolate(some[None], native[0].shape[1:], mode="area")[0] for some in native]
    mean = torch.stack([some.mean(0) for some in labels]).mean(0)

    def overlap(level: float) -> float:
        found = mean > level
        return fmean((((some > 0.5) & found).sum() / ((some > 0.5) | found).sum()).item() for some in labels)

    best = (mean > max(LEVELS, key=overlap)).byte().numpy()
    for video in videos(case, "val"):
        mask = resize_mask(best, *video.native_size)
        write(case, video, [Segmented(mask, nan)] * video.frames)  # of no probabilities, of which nothing could be expected


METHODS: dict[str, tuple[str, Callable[[Case], None]]] = {
    "mean-mask": ("mean mask of the training videos", mean_mask),
    "motion": ("what moves, nothing trained", motion_alone),
    "revseg": ("revseg", revseg),
    "unet": ("MONAI UNet", unet),
}


TRAINED = ("revseg", "unet")


def videos(case: Case, split: str) -> Iterator[Sample]:
    data = case.config.data
    assert data.root is not None
    dataset = DavisDataset(data.root, split, data.year)
    return (dataset.load(name, height=data.height, max_frames=data.max_frames) for name in dataset.names)


def write(case: Case, video: Sample, frames: Iterable[Segmented]) -> None:
    source = Source(video.source, video.frame_rate, video.frame_names)
    write_prediction(frames, source, case.predictions / video.name, {})


def measure(case: Case) -> None:
    """Main of a process of its own."""
    case.folder.mkdir(parents=True, exist_ok=True)
    with open(case.folder / "log.txt", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    device = choose_device(case.config.device)
    footprint, start = Footprint(device), time.perf_counter()
    METHODS[case.method][1](case)
    facts = {"seconds": time.perf_counter() - start, "peak_memory_bytes": footprint.peak()}
    dataset = DavisDataset(case.config.data.root or "", "val", case.config.data.year)
    report = evaluate_folders(
        case.predictions, dataset.annotations, dataset.encoding, protocol="unsupervised", names=dataset.names
    )
    means = {name: average(objects.values()) for name, objects in report.sequences.items()}
    sequences = {name: {"J": score.J.mean, "F": score.F.mean, "JF": score.jf} for name, score in means.items()}
    facts |= {"device": name_of(device), "steps": case.config.training.steps}
    write_json(case.result, {"method": case.method, "seed": case.seed, "sequences": sequences} | facts)


def cases(arguments: argparse.Namespace, output: Path) -> Iterator[Case]:
    settings = Settings("train", TrainConfig)
    for method in arguments.methods:
        for seed in arguments.seeds if method in TRAINED else [0]:
            folder = output / method / f"seed{seed}"
            given = [
                "experiment=davis", f"data.root={Path(arguments.root).resolve()}", f"data.height={arguments.height}",
                f"training.steps={arguments.steps}", f"training.evaluate_every={arguments.steps}", f"seed={seed}",
                f"run_dir={folder / 'run'}", *arguments.overrides,
            ]  # fmt: skip
            yield Case(method, seed, settings.compose([settings.override(text) for text in given]), folder)


def section(records: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> str:
    names = sorted({name for record in records for name in record["sequences"]})
    devices = ", ".join(sorted({record["device"] for record in records}))
    settings = f" Settings beyond experiment=davis: `{' '.join(arguments.overrides)}`." if arguments.overrides else ""
    lines = [
        f"## Videos never seen: height {arguments.height}",
        "",
        f"Trained on the videos of train.txt, {arguments.steps} steps, height {arguments.height}, on {devices}; measured on all "
        f"frames of those of val.txt, at their own size: J&F (J, F). ± is the standard deviation over the seeds.{settings}",
        "",
        row(["method", "seeds", *names, "mean J&F", "mean J", "seconds", "peak memory, MB"]),
        "|---|--:" + "|--:" * (len(names) + 4) + "|",
    ]
    for method, (title, _) in METHODS.items():
        some = [record for record in records if record["method"] == method]
        if not some:
            continue
        cells = [", ".join(str(record["seed"]) for record in some)]
        cells += ["{:.3f} ({:.3f}, {:.3f})".format(*(over(some, [name], key) for key in ("JF", "J", "F"))) for name in names]
        cells += [over(some, names, "JF", spread=True), over(some, names, "J", spread=True)]
        cells += [f"{max(r['seconds'] for r in some):.0f}", f"{max(r['peak_memory_bytes'] or 0 for r in some) / 1e6:.0f}"]
        lines.append(row([title, *cells], bold=method == "revseg"))
    return "\n".join(lines)


def over(records: Sequence[dict[str, Any]], names: Sequence[str], key: str, spread: bool = False) -> Any:
    """Mean over the sequences, and of that over the seeds; with its spread, as text."""
    means = [fmean(record["sequences"][name][key] for name in names) for record in records]
    if not spread:
        return fmean(means)
    return f"{fmean(means):.3f}" + (f" ± {stdev(means):.3f}" if len(means) > 1 else "")


def main() -> None:
    arguments = parse()
    output = arguments.output or ROOT / "runs" / "davis_split_benchmark" / f"height-{arguments.height}"
    try:
        wanted = list(cases(arguments, output))
        DavisDataset(arguments.root, "val")
    except (ValueError, OSError) as error:
        sys.exit(f"davis_split_benchmark: {error}")
    failed = 0
    for case in wanted:
        if case.result.exists():
            continue
        shutil.rmtree(case.folder, ignore_errors=True)  # half a training would be half its seconds
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(case,))
        process.start()
        process.join()
        failed += process.exitcode != 0
        told = case.result.read_text() if case.result.exists() else f"failed, see {case.folder / 'log.txt'}"
        print(f"{case.method}, seed {case.seed}: {told}", flush=True)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(output.glob("*/seed*/result.json"))]
    if records:
        page = arguments.page or output / "quality.md"
        write_section(page, f"height {arguments.height}", section(records, arguments), "davis_split_benchmark")
        print(page)
    sys.exit(f"davis_split_benchmark: {failed} measurements failed; the same call tries them again" if failed else 0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder DAVIS, where JPEGImages, Annotations and ImageSets lie")
    parser.add_argument("--height", type=int, default=96, help="that frames are resized to (default: 96)")
    parser.add_argument("--steps", type=int, default=300, help="of the trainings (default: 300)")
    parser.add_argument("--seeds", type=numbers, default=[0], help="of the trainings (default: 0)")
    parser.add_argument("--methods", type=methods, default=list(METHODS), help=f"of {','.join(METHODS)} (default: all)")
    parser.add_argument("--output", type=Path, help="folder of the results (default: runs/davis_split_benchmark/height-<height>)")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: quality.md in --output)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings and groups of revseg-train")
    return parser.parse_intermixed_args()


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def methods(text: str) -> list[str]:
    words = [word for word in text.split(",") if word]
    for word in words:
        if word not in METHODS:
            raise argparse.ArgumentTypeError(f"there is no method {word!r}; choose among {', '.join(METHODS)}")
    return words


if __name__ == "__main__":
    main()
