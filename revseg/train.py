"""revseg-train: train a network, evaluate it, segment what it is for.

    revseg-train experiment=demo                                                a made-up video, no download
    revseg-train experiment=few_frames data.video=my.mp4 data.masks=labels/     one video, a few frames labelled
    revseg-train experiment=davis data.root=DAVIS                               a dataset

Watch it with: tensorboard --logdir runs. The same run_dir again goes on with a run that was stopped.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime

import torch

from revseg.cli.main import run
from revseg.cli.settings import differences, to_yaml
from revseg.config import TrainConfig
from revseg.device import choose_device
from revseg.evidence.flow import flow_height
from revseg.labels.sample import Sample
from revseg.network.compilation import compiled_meanwhile
from revseg.network.network import RevSegNet
from revseg.runs.folder import RunFolder
from revseg.tasks.dataset import Davis
from revseg.tasks.one_video import FewFrames
from revseg.tasks.source import load_one
from revseg.training.budget import ARRANGEMENT, arrange
from revseg.training.checkpoint import load
from revseg.training.memory import peak_memory
from revseg.training.task import Experiment
from revseg.training.trainer import Trainer


def train(config: TrainConfig) -> None:
    device = choose_device(config.device)
    folder = RunFolder.create(config.run_dir or f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S}_{config.task}")
    check_same_run(config, folder)
    with ExitStack() as unless_it_begins:
        unless_it_begins.callback(folder.remove_unused)
        with compiled_meanwhile(config.network, device):
            experiment = open_experiment(config, folder)
        net = new_network(config, experiment, folder, device)
        unless_it_begins.pop_all()
    trainer = Trainer(net, experiment, folder, config.training, config.augment, config.seed, config.data.height)
    begun = trainer.resume()
    folder.write_config(to_yaml(config))
    print(f"{'going on with' if begun else 'run'} {folder.path} on {device}, {trainer.progress}")
    trainer.fit(description=to_yaml(config))
    report(trainer, experiment, folder)


def check_same_run(config: TrainConfig, folder: RunFolder) -> None:
    """A run that was begun goes on with the same data; steps, rates and device may change."""
    if not (folder.last.exists() and folder.config.exists()):
        return
    for key, (before, now) in differences(folder.config, config).items():
        if key in ("task", "seed") or key.startswith("data.") and key != "data.root":
            raise ValueError(f"{folder.path} was begun with {key}={before}, not {now}; set it back, or change run_dir")


def new_network(config: TrainConfig, experiment: Experiment, folder: RunFolder, device: torch.device) -> RevSegNet:
    size, labelled_frames = experiment.largest()
    saved = load(folder.last) if folder.last.exists() else None
    network, forecast = arrange(config.network, size, labelled_frames, config.training, device, saved)
    chosen = "".join(
        f", {name}={getattr(network, name)}" for name in ARRANGEMENT if getattr(network, name) != getattr(config.network, name)
    )
    # The memory of a process begins with its libraries and the optical flow, that of a GPU with nothing.
    before = "" if device.type == "cuda" else f"; the process took up to {peak_memory(device) / 1e9:.2f} GB before"
    print(f"forecast for {size[0]} frames of {size[2]} x {size[1]}: {forecast.total / 1e9:.2f} GB{chosen}{before}")
    torch.manual_seed(config.seed)
    return RevSegNet(**asdict(network)).to(device)


def open_experiment(config: TrainConfig, folder: RunFolder) -> Experiment:
    if config.task == "davis":
        evidence = folder.evidence if config.network.guided else None
        return Davis(config.data, config.network.classes, config.seed, config.offsets, config.smoothing, evidence, folder.path)
    known = load_one(config.data, folder.path)
    guidance = config.guidance if config.network.guided else None
    if guidance:
        print(f"carrying labels along the optical flow of {known.frames} frames")
    return FewFrames(
        known,
        config.data.labelled_frames,
        config.network.classes,
        config.offsets,
        config.smoothing,
        config.data.on_error,
        guidance,
        at_flow_height(config, known, folder),
        config.seed,
        folder.path,
    )


def at_flow_height(config: TrainConfig, known: Sample, folder: RunFolder) -> Sample:
    """The video at the size at which labels are carried along and predictions smoothed, where that is wanted."""
    height = flow_height(known.height, known.native_size[0])
    if not (config.network.guided or config.smoothing) or known.height == height:
        return known
    return load_one(replace(config.data, height=height), folder.path)


def report(trainer: Trainer, experiment: Experiment, folder: RunFolder) -> None:
    """Predictions and metrics.json."""
    with trainer.averaged():
        measured = experiment.finish(trainer.net, folder.predictions)
    progress, peak = trainer.progress, peak_memory(trainer.device)
    facts = {"steps": progress.step, "seconds": progress.seconds, "peak_memory_bytes": peak}
    folder.write_metrics({**measured, **facts, "device": str(trainer.device)})
    for name, value in measured.items():
        if isinstance(value, float):
            print(f"{name:>10} {value:.3f}")
    if label_next := measured.get("label_next"):
        print(f"frames to label next: {', '.join(label_next)}")
    print(f"{progress.seconds:.0f} s of training, peak memory {peak / 1e9:.2f} GB; all of it in {folder.path}")


def main() -> None:
    run(train, config="train")


if __name__ == "__main__":
    main()
