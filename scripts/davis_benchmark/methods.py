"""Every method by name: from a problem to a mask for every frame."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from davis_benchmark.problem import Mask, Problem
from revseg.evidence.flow import flow_height
from revseg.labels.masks import read_mask, resize_mask
from revseg.labels.sample import Sample
from revseg.output.folder import Source, write_prediction
from revseg.runs.folder import RunFolder
from revseg.segment.segmenter import decide
from revseg.tasks.measures import copy_nearest
from revseg.tasks.one_video import FewFrames
from revseg.tasks.source import load_one
from revseg.train import open_experiment, train


@dataclass(frozen=True)
class Outcome:
    masks: list[Mask]
    """At the size of the training."""
    native: list[Mask] | None = None
    """The same at the video's own size, from a method that makes them."""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    title: str
    segment: Callable[[Problem, int | None], Outcome]
    """Of a problem, and the frames that may be seen at once (None: all)."""
    trained: bool = False
    """Depends on the seed."""


def revseg(problem: Problem, clip: int | None) -> Outcome:
    """As a user gets it: revseg-train, and the masks that it writes."""
    train(problem.config)
    metrics = json.loads((problem.run_dir / "metrics.json").read_text())
    return written(problem, {"training_seconds": metrics["seconds"], "steps": metrics["steps"]})


def unet(problem: Problem, clip: int | None) -> Outcome:
    """Trained on the same, and leaving the same masks and overlay behind."""
    from davis_benchmark import unet as monai

    experiment = few_frames(problem)
    known = experiment.known
    network = problem.config.network
    net = monai.new_unet(network.inputs, network.classes, problem.config.seed, problem.device)
    frames = min(clip or known.frames, known.frames)
    progress = monai.fit(net, experiment, problem.config, frames)
    probabilities = monai.probabilities(net, experiment.volume, frames)
    segmented = decide(probabilities, known.native_size, experiment.guide, experiment.smoothing)
    source = Source(known.source, known.frame_rate, known.frame_names)
    write_prediction(segmented, source, RunFolder(problem.run_dir).predictions, {})
    return written(problem, {"training_seconds": progress.seconds, "steps": progress.step, "clip_frames": frames})


def written(problem: Problem, facts: dict[str, Any]) -> Outcome:
    """The masks that were written, in the video's own size."""
    folder = RunFolder(problem.run_dir).predictions / "masks"
    return from_native([read_mask(folder / f"{name}.png", "davis2017") for name in problem.known.frame_names], problem, facts)


def from_native(masks: list[Mask], problem: Problem, facts: dict[str, Any]) -> Outcome:
    """And at the pixels where the annotation, too, is sampled."""
    known = problem.known
    return Outcome([resize_mask(mask, known.height, known.width) for mask in masks], masks, facts)


def copy(problem: Problem, clip: int | None) -> Outcome:
    return Outcome(copy_nearest(labelled(problem)))


def flow(problem: Problem, clip: int | None, chain: bool = True) -> Outcome:
    from davis_benchmark.optical_flow import propagate

    return Outcome(propagate(labelled(problem), chain))


def flow_direct(problem: Problem, clip: int | None) -> Outcome:
    return flow(problem, clip, chain=False)


def flow_fine(problem: Problem, clip: int | None) -> Outcome:
    """Frame by frame at the height at which revseg carries labels along."""
    from davis_benchmark.optical_flow import propagate

    known = problem.known
    masks = propagate(labelled(problem, flow_height(known.height, known.native_size[0])), chain=True)
    native = [resize_mask(mask, *known.native_size) for mask in masks]
    return from_native(native, problem, {})


def labelled(problem: Problem, height: int | None = None) -> Sample:
    """The video with the labels that are given, read anew: every method is timed from the files on."""
    data = problem.config.data
    return load_one(replace(data, height=height or data.height), problem.run_dir).select(problem.labelled_frames)


def few_frames(problem: Problem) -> FewFrames:
    """What revseg-train trains on: the same, and for a guided network what optical flow makes of it."""
    experiment = open_experiment(problem.config, RunFolder.create(problem.run_dir))
    assert isinstance(experiment, FewFrames)
    return experiment


def forget(problem: Problem) -> None:
    """Checkpoints, overlays and logs of a training."""
    shutil.rmtree(problem.run_dir, ignore_errors=True)


METHODS = {
    "copy": Method("nearest label copied", copy),
    "flow": Method("optical flow, frame by frame", flow),
    "flow-direct": Method("optical flow, straight", flow_direct),
    "flow-fine": Method("optical flow, frame by frame, of 480 lines", flow_fine),
    "revseg": Method("revseg", revseg, trained=True),
    "unet": Method("MONAI UNet", unet, trained=True),
}
BASELINES = ("copy", "flow", "flow-direct", "flow-fine")
"""What needs no training."""
