"""Task dataset: train on the videos of one split, one whole video a step; evaluate on another split.

No label of a new video tells what is wanted of it. A network that sees evidence is shown what moves by itself
(``motion_evidence``), and learns to make objects of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import torch

from revseg.evaluation.davis import Report, Score, average, evaluate_masks
from revseg.evaluation.table import table, write_csv, write_json
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.observation import Observation, height_of_evidence, observe
from revseg.evidence.store import FlowStore
from revseg.labels.dataset import DavisDataset
from revseg.labels.masks import read_mask
from revseg.labels.sample import Sample
from revseg.network.memory import Size
from revseg.network.network import RevSegNet
from revseg.network.windows import window_frames
from revseg.output.config import OutputConfig
from revseg.output.folder import check, write_prediction
from revseg.output.legend import Legend
from revseg.output.source import Source
from revseg.parallel.group import ALONE, Group
from revseg.runs.phases import phase
from revseg.segmentation.segmenter import Segmenter
from revseg.tasks.config import DataConfig
from revseg.tasks.measures import Measures, check_classes, measure, object_ids
from revseg.tasks.pictures import pictures
from revseg.tasks.source import open_split
from revseg.training.feed import shuffled_position
from revseg.training.item import Item
from revseg.training.task import FINETUNE_SHARE, Evaluation, Picture, Result
from revseg.training.window import window_of_step

LOG = logging.getLogger("revseg")

Found = TypeVar("Found")


@dataclass(frozen=True)
class DatasetTask:
    """Two splits of a dataset. Whole videos are loaded when they are needed: memory holds a few at a time."""

    data: DataConfig
    training: DavisDataset
    validation: DavisDataset
    classes: int
    evidence: EvidenceConfig
    """With source "none" the network sees pictures alone."""
    store: FlowStore
    cache: EvidenceCache
    placements: int = 1
    seed: int = 0
    threads: int = 1
    """For optical flow. Those that items are made on may have but one (``made_ahead``)."""
    output: OutputConfig = OutputConfig()  # noqa: RUF009 (it never changes)
    """What is written of the videos of the validation split."""
    kept: dict[str, Evidence] = field(default_factory=dict)
    """Evidence of videos that were seen before, where no folder keeps it."""
    group: Group = ALONE
    """The processes that share out the validation: each segments its own videos, and all know how good all are."""

    @property
    def shared_out(self) -> bool:
        """Each process segments videos of its own."""
        return True

    @property
    def label_count(self) -> int | None:
        """None: many videos are trained on."""
        return None

    @property
    def labels_key(self) -> str | None:
        """None: many videos are trained on."""
        return None

    @property
    def channels(self) -> int:
        """How many channels the videos have."""
        return 3

    @property
    def scale(self) -> None:
        """Pictures are bytes already."""
        return None

    @property
    def objects(self) -> None:
        """Object 1 of one video is another than that of the next."""
        return None

    def check_output(self, folder: Path) -> None:
        """Raises ValueError where the results of another video lie where those of one of the validation split go."""
        for name in self.validation.names:
            check(folder / name, self.validation.folder_of(name), config=self.output)

    @property
    def finetune_share(self) -> int:
        """Each step is on one of many videos."""
        return FINETUNE_SHARE

    @property
    def sees_evidence(self) -> bool:
        """Whether the network sees evidence."""
        return self.evidence.source != "none"

    def item(self, index: int) -> Item:
        """Returns a whole video of the training split, or a window of it (data.window), with all its labels."""
        names = self.training.names
        found = self.load(self.training, names[shuffled_position(index, len(names), self.seed)])
        video, labelled = found.video, found.video.labelled_frames
        window = window_of_step(labelled, video.frames, self.data.window, seed=self.seed, index=index)
        return Item(video.volume, video.labels, labelled, evidence=found.seen).within(window)

    def largest(self) -> tuple[Size, int]:
        """Returns the size of what a step sees of the video with most pixels; all of its frames are taken for labelled."""
        sizes = (self.training.size(name, self.data.height) for name in self.training.names)
        frames, height, width = max(sizes, key=prod)
        seen = window_frames(frames, self.data.window)
        return (seen, height, width), seen

    def evaluate(self, net: RevSegNet) -> Evaluation:
        """Measures J, F and JF on the validation split, at the size that is trained on, without smoothing."""

        def found(name: str) -> tuple[Measures, dict[str, Picture]]:
            observed = self.load(self.validation, name)
            video = observed.video
            segmenter = Segmenter(observed, self.evidence, size=(video.height, video.width), window=self.data.window)
            masks = [frame.mask for frame in segmenter.segment(net)]
            return measure(masks, video, object_ids(video)), pictures(masks, video, video.volume, name=name, count=1)

        all_found = self._of_each(found)
        measures = {name: one for name, (one, _) in all_found.items()}
        images = {title: image for _, some in all_found.values() for title, image in some.items()}
        means = {key: fmean(one.named()[key] for one in measures.values()) for key in ("J", "F", "JF")}
        scalars = {f"validation/{key}": value for key, value in means.items()}
        scalars |= {f"validation sequences/{name}": one.JF for name, one in measures.items()}
        return Evaluation(scalars, images)

    def finish(self, net: RevSegNet, folder: Path) -> Result:
        """Writes masks and overlays of the validation split, and its table at the videos' own size."""
        own = len(self.group.share(self.validation.names))
        with phase("validation", total=own, unit="video") as bar:

            def scored(name: str) -> dict[int, Score]:
                found = self.load(self.validation, name)
                flow = self._observed(self.validation, found.video).flow
                self._write(net, replace(found, flow=flow), folder / name)
                bar.advance()
                return self._scores(found.video, folder / name)

            scores = self._of_each(scored)
        # All frames count: none of these videos was given with the mask of its first frame.
        report = Report("unsupervised", scores)
        if self.group.first:
            LOG.info(table(report))
            write_csv(report, folder.parent / "validation.csv")
            write_json(report, folder.parent / "validation.json")
        overall = report.overall
        sequences = {name: average(objects.values()).jf for name, objects in scores.items()}
        means = {"J": overall.J.mean, "F": overall.F.mean, "JF": overall.jf}
        scalars = {f"validation at native size/{key}": value for key, value in means.items()}
        return Result({**means, "sequences": sequences}, Evaluation(scalars, {}))

    def _of_each(self, find: Callable[[str], Found]) -> dict[str, Found]:
        """Returns what is found of each video of the validation split, by its name; the processes share them out."""
        names = self.validation.names
        parts = self.group.gathered({name: find(name) for name in self.group.share(names)})
        return {name: parts[place % self.group.world][name] for place, name in enumerate(names)}

    def load(self, dataset: DavisDataset, name: str) -> Observation:
        """Returns a video of a split with all its labels, and what moves in it for a network that sees evidence."""
        video = dataset.load(name, height=self.data.height)
        check_classes(video, self.classes)
        return Observation(video, seen=None if self.evidence.source == "none" else self._seen(dataset, video))

    def _seen(self, dataset: DavisDataset, video: Sample) -> Evidence:
        """Evidence at the size of the network; found once for each video."""
        size = video.height, video.width
        key = digest(video.volume, self.classes, self.evidence, size)
        if (planes := self.cache.get("motion-seen", key)) is not None:
            return Evidence.from_planes(torch.from_numpy(planes))
        if key not in self.kept:
            found = self._observed(dataset, video).seen
            assert found is not None
            self.cache.put("motion-seen", key, found.planes().numpy())
            if self.cache.keeps:
                return found
            self.kept[key] = found
        return self.kept[key]

    def _observed(self, dataset: DavisDataset, video: Sample) -> Observation:
        """The video at the height of its evidence, without labels, with its flow and what moves in it."""
        height = height_of_evidence(self.evidence, self.data.height, video.native_size[0])
        fine = dataset.load(video.name, height=height).select([])
        return observe(
            fine,
            height=self.data.height,
            classes=self.classes,
            config=self.evidence,
            store=self.store,
            cache=self.cache,
            threads=self.threads,
        )

    def _write(self, net: RevSegNet, observed: Observation, folder: Path) -> None:
        video = observed.video
        keeps = self.output.needs_probabilities
        segmenter = Segmenter(observed, self.evidence, keeps_probabilities=keeps, window=self.data.window)
        source = Source.of(video, self.data.reading)
        legend = Legend(tuple(range(1, net.config.outputs)))
        frames = segmenter.segment(net, self.placements)
        write_prediction(frames, source, folder, legend=legend, note={}, config=self.output)

    def _scores(self, sample: Sample, folder: Path) -> dict[int, Score]:
        """Measures the masks in `folder` against the annotation, both at the video's own size."""
        names = [f"{sample.frame_names[frame]}.png" for frame in sample.labelled_frames]
        predictions = (read_mask(folder / "masks" / name, "davis2017") for name in names)
        return evaluate_masks(predictions, (mask.numpy() for mask in sample.masks), object_ids(sample))


def open_dataset(
    data: DataConfig,
    *,
    store: FlowStore,
    cache: EvidenceCache,
    evidence: EvidenceConfig,
    classes: int | None = None,
    placements: int = 1,
    seed: int = 0,
    output: OutputConfig = OutputConfig(),  # noqa: B008 (it never changes)
    group: Group = ALONE,
) -> DatasetTask:
    """Opens both splits; returns the task. classes: None: as many as the first masks of the training videos show."""
    training, validation = open_split(data, data.training_split), open_split(data, data.validation_split)
    return DatasetTask(
        data=data,
        training=training,
        validation=validation,
        classes=classes or max(2, *(training.classes(name) for name in training.names)),
        evidence=evidence,
        store=store,
        cache=cache,
        placements=placements,
        seed=seed,
        threads=torch.get_num_threads(),
        output=output,
        group=group,
    )
