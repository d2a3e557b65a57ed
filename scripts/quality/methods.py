"""Every method by name: from a problem to a mask for every frame.

Optical flow (DIS; Kroeger et al., arXiv:1603.03590) carries the label of a pixel from the nearest labelled frame in two ways:

    flow          x_{t-1} = x_t + flow(t -> t-1)(x_t), frame by frame back to the labelled one; drifts, but follows large motion
    flow-direct   one flow from the frame straight to the labelled one; does not drift, but loses what has moved far

The first composes positions, not labels: a label is looked up once, so that no small object is worn away by resampling.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import cv2
import numpy as np

from quality.case import Mask, Problem
from revseg.device import choose_device
from revseg.evidence.config import FlowConfig
from revseg.evidence.flow import Flow, flow_height
from revseg.evidence.store import FlowStore
from revseg.labels.masks import read_mask, resize_mask
from revseg.labels.sample import Sample
from revseg.launch.task import evidence_store, open_task
from revseg.output.folder import write_prediction
from revseg.output.source import Source
from revseg.runs.folder import RunFolder
from revseg.tasks.measures import copy_nearest
from revseg.tasks.one_video import OneVideo
from revseg.train import train


@dataclass(frozen=True)
class Outcome:
    masks: list[Mask]
    """At the size of the training."""
    native: list[Mask] | None = None
    """The same at the video's own size, from a method that makes them."""
    facts: dict[str, Any] = field(default_factory=dict)


TRAINED = ("revseg", "unet")
"""These depend on the seed."""


def revseg(problem: Problem) -> Outcome:
    """As a user gets it: revseg-train, and the masks that it writes."""
    train(problem.config)
    metrics = json.loads((problem.run_dir / "metrics.json").read_text())
    note = json.loads((RunFolder(problem.run_dir).predictions / "prediction.json").read_text())
    facts = {"training_seconds": metrics["seconds"], "steps": metrics["steps"], "expected_J": note["expected_J"]}
    outcome = written(problem, facts)
    facts["rank_correlation"] = problem.rank_correlation(outcome.masks, note["expected_J"])
    return outcome


def unet(problem: Problem) -> Outcome:
    """Trained on the same, and leaving the same masks and overlay behind."""
    from quality import unet as monai

    folder = RunFolder.create(problem.run_dir)
    store, cache = evidence_store(problem.config, folder)
    task = open_task(problem.config, folder, store=store, cache=cache)
    assert isinstance(task, OneVideo)
    inputs, video = task.observation.inputs, task.video
    net = monai.new_unet(len(inputs), task.classes, problem.config.seed, choose_device(problem.config.device))
    progress = monai.fit(net, task, problem.config)
    segmented = task.segmenter().decide(monai.probabilities(net, inputs))
    legend = task.objects.legend(task.classes)
    write_prediction(segmented, Source.of(video), folder.predictions, legend=legend, note={})
    return written(problem, {"training_seconds": progress.seconds, "steps": progress.step})


def written(problem: Problem, facts: dict[str, Any]) -> Outcome:
    """Returns the masks that were written, in the video's own size."""
    folder = RunFolder(problem.run_dir).predictions / "masks"
    return from_native([read_mask(folder / f"{name}.png", "davis2017") for name in problem.known.frame_names], problem, facts)


def from_native(masks: list[Mask], problem: Problem, facts: dict[str, Any]) -> Outcome:
    """Resizes at the pixels where the annotation, too, is sampled."""
    return Outcome([resize_mask(mask, problem.known.height, problem.known.width) for mask in masks], masks, facts)


def copy(problem: Problem) -> Outcome:
    return Outcome(copy_nearest(problem.labelled(problem.recipe.height)))


def flow(problem: Problem, chain: bool) -> Outcome:
    return Outcome(propagate(problem.labelled(problem.recipe.height), chain, problem.config.evidence.flow))


def flow_fine(problem: Problem) -> Outcome:
    """Frame by frame at the height at which revseg carries labels along."""
    known, settings = problem.known, problem.config.evidence.flow
    masks = propagate(problem.labelled(flow_height(known.height, known.native_size[0], settings)), True, settings)
    return from_native([resize_mask(mask, *known.native_size) for mask in masks], problem, {})


def propagate(labelled: Sample, chain: bool, config: FlowConfig | None = None) -> list[Mask]:
    """Returns a mask for every frame. labelled: the video with the labels that are given."""
    config = config or FlowConfig()
    config = replace(config, method="opencv", far_finest_scale=config.finest_scale)
    flow = Flow(labelled.volume, config, store=FlowStore(keep=False))
    known, masks = np.array(labelled.labelled_frames), copy_nearest(labelled)
    nearest = [int(np.abs(known - frame).argmin()) for frame in range(labelled.frames)]
    for row, start in enumerate(labelled.labelled_frames):
        for direction in (1, -1):
            position, frame = flow.identity, start + direction
            while 0 <= frame < labelled.frames and nearest[frame] == row:
                if chain:
                    position = flow.fields.look_up(position, flow.position(frame, frame - direction))
                else:
                    position = flow.position(frame, start)
                masks[frame] = cv2.remap(masks[start], *position, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
                frame += direction
    return masks


METHODS: dict[str, Callable[[Problem], Outcome]] = {
    "copy": copy,
    "flow": partial(flow, chain=True),
    "flow-direct": partial(flow, chain=False),
    "flow-fine": flow_fine,
    "revseg": revseg,
    "unet": unet,
}
