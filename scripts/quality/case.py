"""One measurement of scripts/davis_benchmark.py: what it runs, its video, and the measure of its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from harness.settings import compose
from numpy.typing import NDArray

from revseg.config import TrainConfig
from revseg.evaluation import average, evaluate_masks
from revseg.labels.dataset import DavisDataset, evenly_spaced
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.tasks.measures import object_ids
from revseg.video.reading import Reading

Mask = NDArray[np.uint8]

# Set by the benchmark for each case: not to be given as overrides.
RESERVED = {
    **{"seed": "--seeds", "run_dir": "--output", "data.root": "--root", "data.year": "--year", "data.sequence": "--sequences"},
    **{"data.labelled_frames": "--labelled", "data.height": "--height", "data.max_frames": "--max-frames"},
    **{"training.steps": "--steps", "task": "scripts/davis_split_benchmark.py for task=dataset"},
}


@dataclass(frozen=True)
class Recipe:
    """What all cases share."""

    root: str
    year: int
    height: int | None
    max_frames: int | None
    steps: int | None
    """None: those of the experiment."""
    overrides: tuple[str, ...] = ()
    """For revseg-train; those of evidence, loss, augmentation and device go for the UNet as well."""
    keep_runs: bool = False

    def check(self) -> None:
        """Raises ValueError in one sentence if an override is unknown or decided by the benchmark."""
        for override in self.overrides:
            key = override.partition("=")[0]
            if key in RESERVED:
                raise ValueError(f"{override}: the benchmark sets {key} itself; use {RESERVED[key]}")
        self.config(Case("any", 1, "revseg"), Path("run"))

    def config(self, case: Case, run_dir: Path) -> TrainConfig:
        """Returns what revseg-train would be told."""
        data = {"root": self.root, "sequence": case.sequence, "labelled_frames": case.labelled}
        data |= {"height": self.height or "null", "max_frames": self.max_frames or "null"}
        steps = [] if self.steps is None else [f"training.steps={self.steps}"]
        given = [f"data=davis{self.year}", *(f"data.{key}={value}" for key, value in data.items()), *steps]
        return compose([*given, f"seed={case.seed}", f"run_dir={run_dir}", *self.overrides])

    def identity(self) -> dict[str, Any]:
        """Returns what two results in one folder must agree in."""
        named = {name: getattr(self, name) for name in ("year", "height", "max_frames", "steps")}
        return named | {"overrides": sorted(self.overrides)}

    def load(self, sequence: str, height: int | None) -> Sample:
        """Returns a video with the labels of all frames."""
        reading = Reading(max_frames=self.max_frames)
        return DavisDataset(self.root, year=self.year, reading=reading).load(sequence, height=height)


@dataclass(frozen=True)
class Case:
    sequence: str
    labelled: int
    """Number of labelled frames, evenly spaced, the first and last included (1: the first)."""
    method: str
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Returns where its result lies in the output folder."""
        return Path(self.sequence, f"labelled{self.labelled}", self.method, f"seed{self.seed}")

    def __str__(self) -> str:
        return f"{self.sequence}, {self.labelled} labelled, {self.method}, seed {self.seed}"


@dataclass(frozen=True)
class Problem:
    """A case with its video."""

    case: Case
    recipe: Recipe
    run_dir: Path

    @cached_property
    def config(self) -> TrainConfig:
        return self.recipe.config(self.case, self.run_dir)

    @cached_property
    def known(self) -> Sample:
        """The video with the labels of all frames, resized as for the training."""
        return self.recipe.load(self.case.sequence, self.recipe.height)

    @property
    def labelled_frames(self) -> list[int]:
        frames = self.known.labelled_frames
        return [frames[i] for i in evenly_spaced(len(frames), self.case.labelled)]

    def labelled(self, height: int | None) -> Sample:
        """Returns the video with the labels that are given, read anew: every method is timed from the files on."""
        return self.recipe.load(self.case.sequence, height).select(self.labelled_frames)

    def measure(self, masks: Sequence[Mask], native: bool = False) -> dict[str, Any]:
        """Returns J, F, JF on the frames that are held out: of each object, and their mean. native: at the video's own size."""
        others = held_out(self.known, self.labelled_frames)
        truth = (row.numpy() for row in (others.masks if native else others.labels))
        scores = evaluate_masks((masks[frame] for frame in others.labelled_frames), truth, object_ids(self.known))
        named = {str(number): {"J": one.J.mean, "F": one.F.mean, "JF": one.jf} for number, one in scores.items()}
        mean = average(scores.values())
        return {"J": mean.J.mean, "F": mean.F.mean, "JF": mean.jf, "objects": named}

    def rank_correlation(self, masks: Sequence[Mask], expected: Sequence[float]) -> float | None:
        """Returns Spearman's correlation of the J that is expected of each frame and the true one, all objects together, on the
        frames that are held out; None where either is the same in all of them. masks: at the size of the training."""
        others = held_out(self.known, self.labelled_frames)
        pairs = zip(others.labelled_frames, others.labels.numpy(), strict=True)
        true = [_similarity(masks[frame], truth) for frame, truth in pairs]
        return rank_correlation([expected[frame] for frame in others.labelled_frames], true)


def _similarity(mask: Mask, truth: Mask) -> float:
    """J of all objects together."""
    seen = truth != VOID
    of_any = seen & ((mask > 0) | (truth > 0))
    return float((of_any & (mask == truth)).sum() / of_any.sum()) if of_any.any() else 1.0


def rank_correlation(some: Sequence[float], others: Sequence[float]) -> float | None:
    """Returns Spearman's rank correlation; None where all of either are equal."""
    ranks = []
    for values in (some, others):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((counts.cumsum() - (counts - 1) / 2)[place])  # equal ones share the mean of their ranks
    return float(np.corrcoef(*ranks)[0, 1]) if all(row.std() > 0 for row in ranks) else None


def held_out(known: Sample, labelled_frames: Sequence[int]) -> Sample:
    """Returns the video with the labels that tell how good a method is."""
    others = [frame for frame in known.labelled_frames if frame not in labelled_frames]
    if not others:
        raise ValueError(f"all {known.frames} frames of {known.name} are labelled: nothing is left to measure; lower --labelled")
    return known.select(others)
