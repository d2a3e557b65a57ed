"""J, F and J&F of masks in memory, as the final and the intermediate evaluations report them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from revseg.evaluation import average, evaluate_masks
from revseg.evaluation.measures import region_similarity
from revseg.labels.dataset import classes_of, objects_in
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.training.item import Item

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Measures:
    J: float
    F: float

    @property
    def JF(self) -> float:
        return (self.J + self.F) / 2

    def named(self) -> dict[str, float]:
        return {"J": self.J, "F": self.F, "JF": self.JF}


def measured(masks: Sequence[Mask], truth: Sample | Item, objects: Sequence[int]) -> dict[str, float]:
    """Returns J, F and JF by name. Where most pixels are unknown, no contour is known: J alone, of all frames together."""
    if 2 * sum(int((labels != VOID).sum()) for labels in truth.labels) < truth.labels.numel():
        return {"J": fmean(similarity_of_volume(masks, truth, objects).values())}
    return measure(masks, truth, objects).named()


def similarity_of_volume(masks: Sequence[Mask], truth: Sample | Item, objects: Sequence[int]) -> dict[int, float]:
    """Returns J of each object over the known pixels of all frames together; 1 where none has or shows it."""
    pixels = {number: [0, 0] for number in objects}
    for frame, labels in zip(truth.labelled_frames, truth.labels.numpy(), strict=True):
        known = labels != VOID
        found, true = masks[frame][known], labels[known]
        for number, counts in pixels.items():
            counts[0] += int(((found == number) & (true == number)).sum())
            counts[1] += int(((found == number) | (true == number)).sum())
    return {number: both / either if either else 1.0 for number, (both, either) in pixels.items()}


def similarity_of_frames(masks: Sequence[Mask], truth: Sample | Item, objects: Sequence[int]) -> dict[int, float]:
    """Returns the mean J of the objects over the known pixels of each labelled frame."""
    found = {}
    for frame, labels in zip(truth.labelled_frames, truth.labels.numpy(), strict=True):
        known = labels != VOID
        mask, true = masks[frame][known], labels[known]
        found[frame] = fmean(region_similarity(mask == number, true == number) for number in objects)
    return found


def measure(masks: Sequence[Mask], truth: Sample | Item, objects: Sequence[int]) -> Measures:
    """Mean over `objects`, on the labelled frames of `truth`. masks: one per frame of the video."""
    predictions = (masks[frame] for frame in truth.labelled_frames)
    scores = evaluate_masks(predictions, (labels.numpy() for labels in truth.labels), objects)
    score = average(scores.values())
    return Measures(score.J.mean, score.F.mean)


def object_ids(sample: Sample) -> list[int]:
    """Returns the ids of the objects in the labels of a video, at least one."""
    found = objects_in(sample.masks)
    if not found:
        raise ValueError(f"no mask of {sample.source} shows an object; label one, or check data.encoding")
    return found


def check_classes(sample: Sample, classes: int) -> None:
    """Raises ValueError where an object has no class."""
    needed = classes_of(sample.masks)
    if needed > classes:
        raise ValueError(
            f"the masks of {sample.source} show object {needed - 1}, but network.classes={classes} has none "
            f"for it; set network.classes={needed}"
        )


def check_channels(source: str | Path, found: int, channels: int) -> None:
    """Raises ValueError where a network is for a video of other channels."""
    if found != channels:
        raise ValueError(
            f"{source} has {found} channels, but the network is for {channels} (network.in_channels); give a "
            f"video of {channels}, or train a network on this one"
        )


def copy_nearest(labelled: Sample) -> list[Mask] | None:
    """Returns the baseline: every frame takes the mask of the nearest labelled frame, of two the earlier; None where a frame has
    only a few labels, which are no mask."""
    if labelled.whole_frames != labelled.labelled_frames:
        return None
    known = np.array(labelled.labelled_frames)
    masks = np.where(labelled.labels.numpy() == VOID, np.uint8(0), labelled.labels.numpy())
    return [masks[np.abs(known - frame).argmin()] for frame in range(labelled.frames)]
