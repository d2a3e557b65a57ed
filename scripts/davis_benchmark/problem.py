"""A case with its video: what a method is given, and the measure of what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from davis_benchmark.case import Case, Recipe
from revseg.config import TrainConfig
from revseg.device import choose_device
from revseg.evaluation import average, evaluate_masks
from revseg.labels.dataset import DavisDataset, classes_of, evenly_spaced
from revseg.labels.sample import Sample
from revseg.tasks.measures import object_ids

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Problem:
    case: Case
    recipe: Recipe
    config: TrainConfig
    """Of revseg-train."""
    run_dir: Path
    known: Sample
    """With the labels of all frames, resized as for the training."""
    device: torch.device

    @classmethod
    def of(cls, case: Case, recipe: Recipe, run_dir: Path) -> Problem:
        known = load(case.sequence, recipe)
        config = recipe.config(case, max(2, classes_of(known.labels)), run_dir)
        return cls(case, recipe, config, run_dir, known, choose_device(config.device))

    @property
    def labelled_frames(self) -> tuple[int, ...]:
        frames = self.known.labelled_frames
        return tuple(frames[i] for i in evenly_spaced(len(frames), self.case.labelled))

    def measure(self, masks: Sequence[Mask], native: bool = False) -> dict[str, Any]:
        """J, F, JF on the frames that are not labelled: of each object, and their mean. native: at the video's own size."""
        known = load(self.case.sequence, replace(self.recipe, height=None)) if native else self.known
        others = unlabelled(known, self.labelled_frames)
        objects = object_ids(self.known)
        scores = evaluate_masks(
            (masks[frame] for frame in others.labelled_frames), (row.numpy() for row in others.labels), objects
        )
        named = {str(number): {"J": one.J.mean, "F": one.F.mean, "JF": one.jf} for number, one in scores.items()}
        mean = average(scores.values())
        return {"J": mean.J.mean, "F": mean.F.mean, "JF": mean.jf, "objects": named}


def load(sequence: str, recipe: Recipe) -> Sample:
    dataset = DavisDataset(recipe.root, year=recipe.year)
    return dataset.load(sequence, height=recipe.height, max_frames=recipe.max_frames)


def unlabelled(known: Sample, labelled_frames: Sequence[int]) -> Sample:
    """The frames that tell how good a method is."""
    others = [frame for frame in known.labelled_frames if frame not in labelled_frames]
    if not others:
        raise ValueError(
            f"all {len(labelled_frames)} frames of {known.name} are labelled: nothing is left to measure; lower --labelled"
        )
    return known.select(others)
