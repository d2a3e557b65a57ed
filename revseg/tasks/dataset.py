"""Task davis: train on the videos of one split, one whole video a step; evaluate on another split.

No label of a new video tells what is wanted of it. A guided network is shown what moves by itself (``motion_evidence``),
and learns to make objects of that.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from revseg.evaluation.davis import Report, Score, average, evaluate_masks
from revseg.evaluation.table import table, write_csv, write_json
from revseg.evidence.evidence import resize_evidence
from revseg.evidence.flow import Flow, flow_height
from revseg.evidence.motion import motion_evidence
from revseg.evidence.smoothing import Smoothing
from revseg.labels.dataset import DavisDataset
from revseg.labels.masks import read_mask
from revseg.labels.sample import Sample
from revseg.network.memory import Size
from revseg.network.network import RevSegNet
from revseg.output.folder import Source, write_prediction
from revseg.runs.atomic import replacing
from revseg.segment.segmenter import segment
from revseg.tasks.measures import Measures, check_classes, measure, object_ids
from revseg.tasks.pictures import pictures
from revseg.tasks.source import DataConfig, open_split
from revseg.training.feed import shuffled_position
from revseg.training.task import Evaluation, Picture


class Davis:
    """Two splits of a dataset. Whole videos are loaded when they are needed: memory holds a few at a time.

    evidence: folder in which that of a guided network is kept, computed once for each video; None: not guided.
    scratch: folder for what ``Flow`` keeps.
    """

    label_count: int | None = None

    def __init__(
        self,
        config: DataConfig,
        classes: int,
        seed: int,
        offsets: int,
        smoothing: int = 0,
        evidence: Path | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.config, self.classes, self.seed, self.offsets, self.sweeps = config, classes, seed, offsets, smoothing
        self.evidence, self.scratch = evidence, scratch
        self.threads = torch.get_num_threads()  # of this thread: those that samples are made on may have but one (``made_ahead``)
        self.training = open_split(config, config.training_split)
        self.validation = open_split(config, config.validation_split)

    def sample(self, index: int) -> Sample:
        names = self.training.names
        return self.load(self.training, names[shuffled_position(index, len(names), self.seed)])

    def largest(self) -> tuple[Size, int]:
        """All frames of a video are taken for labelled; of the sizes the one with most pixels."""
        sizes = (self.training.size(name, self.config.height, self.config.max_frames) for name in self.training.names)
        size = max(sizes, key=prod)
        return size, size[0]

    def evaluate(self, net: RevSegNet) -> Evaluation:
        """J, F and JF of the validation split at the size that is trained on."""
        measures: dict[str, Measures] = {}
        images: dict[str, Picture] = {}
        for name in self.validation.names:
            truth = self.load(self.validation, name)
            masks = [frame.mask for frame in segment(net, truth.inputs)]
            measures[name] = measure(masks, truth, object_ids(truth))
            images |= pictures(masks, truth, name, count=1)
        means = {key: fmean(one.named()[key] for one in measures.values()) for key in ("J", "F", "JF")}
        scalars = {f"validation/{key}": value for key, value in means.items()}
        scalars |= {f"validation sequences/{name}": one.JF for name, one in measures.items()}
        return Evaluation(scalars, images, means["JF"])

    def finish(self, net: RevSegNet, folder: Path) -> dict[str, Any]:
        """Masks and overlays of the validation split, and its table at the videos' own size."""
        scores = {}
        for name in tqdm(self.validation.names, desc="validation", unit="video"):
            sample = self.load(self.validation, name)
            self._write(net, sample, folder / name)
            scores[name] = self._scores(sample, folder / name)
        # All frames count: none of these videos was given with the mask of its first frame.
        report = Report("unsupervised", scores)
        print(table(report))
        write_csv(report, folder.parent / "validation.csv")
        write_json(report, folder.parent / "validation.json")
        overall = report.overall
        sequences = {name: average(objects.values()).jf for name, objects in scores.items()}
        return {"J": overall.J.mean, "F": overall.F.mean, "JF": overall.jf, "sequences": sequences}

    def _write(self, net: RevSegNet, sample: Sample, folder: Path) -> None:
        frames = segment(net, sample.inputs, sample.native_size, self.offsets, smoothing=self.smoothing(sample))
        write_prediction(frames, Source(sample.source, sample.frame_rate, sample.frame_names), folder, {})

    def smoothing(self, sample: Sample) -> Smoothing | None:
        """Along the flow of a video of the validation split."""
        if not self.sweeps:
            return None
        return Smoothing(self.flow(self.validation, sample), sweeps=self.sweeps)

    def _scores(self, sample: Sample, folder: Path) -> dict[int, Score]:
        """Of the masks in `folder` against the annotation, both at the video's own size."""
        names = [f"{sample.frame_names[frame]}.png" for frame in sample.labelled_frames]
        annotations = self.validation.annotations / sample.name
        predictions = (read_mask(folder / "masks" / name, "davis2017") for name in names)
        labels = (read_mask(annotations / name, self.validation.encoding) for name in names)
        return evaluate_masks(predictions, labels, object_ids(sample))

    def load(self, dataset: DavisDataset, name: str) -> Sample:
        sample = dataset.load(name, height=self.config.height, max_frames=self.config.max_frames)
        check_classes(sample, self.classes)
        return sample if self.evidence is None else replace(sample, evidence=self._evidence(dataset, sample, self.evidence))

    def _evidence(self, dataset: DavisDataset, sample: Sample, folder: Path) -> Tensor:
        path = folder / f"{sample.name}.npz"
        if not path.exists():
            tqdm.write(f"finding what moves in {sample.name}, {sample.frames} frames")
            found = resize_evidence(motion_evidence(self.flow(dataset, sample), self.classes), (sample.height, sample.width))
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, evidence=found.numpy())
        with np.load(path) as kept:
            return torch.from_numpy(kept["evidence"])

    def flow(self, dataset: DavisDataset, sample: Sample) -> Flow:
        height = flow_height(sample.height, sample.native_size[0])
        volume = dataset.load(sample.name, height=height, max_frames=self.config.max_frames).volume
        return Flow(volume, self.scratch, self.threads)
