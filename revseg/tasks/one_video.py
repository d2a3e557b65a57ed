"""Task one_video: one video, a few of its frames labelled; segment all of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from revseg import storage
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.expectation import least_sure
from revseg.evidence.observation import Observation, height_of_evidence, observe
from revseg.evidence.store import FlowStore
from revseg.evidence.strokes import spread
from revseg.evidence.team import ALONE, Team
from revseg.labels.dataset import evenly_spaced
from revseg.labels.masks import resize_mask
from revseg.labels.sample import Sample
from revseg.network.inference import Predict
from revseg.network.memory import Size
from revseg.network.network import RevSegNet
from revseg.network.windows import window_frames
from revseg.output.album import Album
from revseg.output.config import OutputConfig
from revseg.output.folder import check, write_prediction
from revseg.output.report import Frames
from revseg.output.source import Source
from revseg.segmentation.segmenter import Segmented, Segmenter
from revseg.tasks.config import DataConfig, GuidanceConfig
from revseg.tasks.guidance import Guidance, shares_of
from revseg.tasks.measures import (
    Mask,
    check_channels,
    copy_nearest,
    measured,
    object_ids,
    similarity_of_frames,
    similarity_of_volume,
)
from revseg.tasks.objects import Objects
from revseg.tasks.pictures import pictures
from revseg.tasks.source import load_one, load_truth
from revseg.tasks.vanishing import vanishing
from revseg.training.item import Item
from revseg.training.task import FINETUNE_SHARE, Evaluation, Result
from revseg.training.window import most_labelled, window_of_step
from revseg.video.reading import WHOLE, Reading
from revseg.video.scale import Scale

LOG = logging.getLogger("revseg")

FINETUNE_SHARE_SHOWN = 8
"""``Task.finetune_share`` where steps are shown all that labels say (measured: docs/results/second_round.md)."""


@dataclass(frozen=True)
class VideoResult(Result):
    """What the training on one video comes to."""

    frames: Frames
    """For the report."""


@dataclass(frozen=True)
class OneVideo:
    """One video. The labels that are held out reach no training: they tell how good it is."""

    observation: Observation
    """The video with the labels that are trained on, and what they say of the other frames."""
    held_out: Item | None
    """The same volume with the labels that only tell how good the masks are: at its size, to spare memory."""
    objects: Objects
    """Those that the network has classes for. Labels here are classes; what is written and told has the ids."""
    shown: tuple[int, ...]
    """The classes of the objects that the labels show."""
    classes: int
    evidence: EvidenceConfig
    guidance: Guidance | None
    """For a network that sees evidence."""
    placements: int = 1
    reading: Reading = WHOLE
    """How the video is read once more, to draw masks on it."""
    sha256: str | None = None
    """Hash of the video (``digest_of``), where it is known."""
    output: OutputConfig = OutputConfig()  # noqa: RUF009 (it never changes)
    """What is written at the end."""
    window: int | None = None
    """How many frames the network sees at a time; None: all."""
    seed: int = 0
    predict: Predict | None = None
    """What finds the network's probabilities; None: ``predict_probabilities``."""

    @property
    def sees_evidence(self) -> bool:
        """Whether the network sees evidence."""
        return self.guidance is not None

    @property
    def finetune_share(self) -> int:
        """Steps that see the whole video see its new label too, and what the label says comes with the evidence."""
        whole = self.window is None or self.window >= self.video.frames
        return FINETUNE_SHARE_SHOWN if whole and self.sees_evidence else FINETUNE_SHARE

    @property
    def shared_out(self) -> bool:
        """One video is segmented by one process."""
        return False

    @property
    def video(self) -> Sample:
        """The video at the size of the network, with the labels that are trained on."""
        return self.observation.video

    @property
    def channels(self) -> int:
        """How many channels the video has."""
        return len(self.video.volume)

    @property
    def scale(self) -> Scale | None:
        """How the values of a volume became bytes."""
        return self.video.scale

    @property
    def label_count(self) -> int:
        """How many labelled frames are trained on."""
        return len(self.video.labelled_frames)

    @cached_property
    def labels_key(self) -> str:
        """Key of the labels that are trained on, by what they show: not by their files."""
        return digest("labels", self.video.labelled_frames, self.video.masks)

    def check_output(self, folder: Path) -> None:
        """Raises ValueError where the results of another video lie where those of this one go."""
        check(folder, self.video.source, self.sha256, config=self.output)

    def with_inference(self, predict: Predict) -> OneVideo:
        """Returns the same with another way to a network's probabilities."""
        return replace(self, predict=predict)

    def item(self, index: int) -> Item:
        """Returns what step number `index` is trained on."""
        if self.guidance is None:
            window = window_of_step(self.video.labelled_frames, self.video.frames, self.window, seed=self.seed, index=index)
            return Item(self.video.volume, self.video.labels, self.video.labelled_frames).within(window)
        return self.guidance.item(index)

    def largest(self) -> tuple[Size, int]:
        """Returns the size (T, H, W) of what a step sees of the video, and on how many of its frames it is trained at most."""
        frames = window_frames(self.video.frames, self.window)
        labelled = most_labelled(self.video.labelled_frames, self.video.frames, self.window)
        if self.guidance is not None:
            labelled = min(frames, labelled + self.guidance.pseudo_frames)
        return (frames, self.video.height, self.video.width), labelled

    def segmenter(self, size: tuple[int, int] | None = None) -> Segmenter:
        """Returns what makes masks of a size from a network's probabilities; None: the video's own size."""
        return Segmenter(
            self.observation,
            self.evidence,
            label_count=self.label_count,
            size=size,
            keeps_labels=True,
            keeps_probabilities=size is None and self.output.needs_probabilities,
            window=self.window,
            predict=self.predict,
        )

    def evaluate(self, net: RevSegNet) -> Evaluation:
        """Measures the network alone, without what evidence and smoothing add at the end."""
        alone = Observation(self.video, seen=self.observation.seen)
        size = self.video.height, self.video.width
        segmenter = Segmenter(alone, self.evidence, size=size, window=self.window, predict=self.predict)
        masks = self._room_for_masks()
        for mask, frame in zip(masks, segmenter.segment(net), strict=True):
            mask[:] = frame.mask
        return self._evaluation(masks, "network alone/")

    def finish(self, net: RevSegNet, folder: Path) -> VideoResult:
        """Writes masks and overlay into the folder, and measures them.

        J, F, JF: on the frames whose labels are held out, at the size trained on, and for each object; None without such, or
        where a few pixels are all that is known. volume_J: of the pixels of all these frames together, which suits volumes.
        expected_J: on the frames without a mask, by the probabilities alone; label_next: names of the frames to label next.
        """
        album = Album(self.video.frames, self.video.labelled_frames)
        masks, expected = self._write(net, folder, album)
        metrics: dict[str, Any] = dict.fromkeys(("J", "F", "JF", "objects", "volume_J", "baseline"))
        if self.held_out is not None:
            metrics |= measured(masks, self.held_out, self.shown)
            together = similarity_of_volume(masks, self.held_out, self.shown)
            metrics["volume_J"] = fmean(together.values())
            metrics["objects"] = {
                str(self.objects.id_of(number)): {
                    **self.objects.named(number),
                    **measured(masks, self.held_out, [number]),
                    "volume_J": together[number],
                }
                for number in self.shown
            }
            if (copies := copy_nearest(self.video)) is not None:
                metrics["baseline"] = measured(copies, self.held_out, self.shown)
        whole = self.video.whole_frames
        metrics["labelled"] = measured(masks, self.video, self.shown)
        metrics["labelled_frames"] = list(self.video.labelled_frames)
        unlabelled = [value for frame, value in enumerate(expected) if frame not in whole]
        metrics["expected_J"] = fmean(unlabelled) if unlabelled else None
        # Of a volume that has a few labels in every frame, none is to be labelled next.
        metrics["label_next"] = [self.video.frame_names[frame] for frame in least_sure(expected, whole)] if whole else []
        true = {} if self.held_out is None else similarity_of_frames(masks, self.held_out, self.shown)
        shown = {"small": album.small, "large": album.large}
        frames = Frames(self.video.frame_names, expected, **shown, labelled=self.video.labelled_frames, true=true)
        return VideoResult(metrics, self._evaluation(masks, ""), frames)

    def _room_for_masks(self) -> list[Mask]:
        """A mask for each frame, of any content, at the size trained on."""
        return list(storage.empty(self.video.frames, self.video.height, self.video.width).numpy())

    def _evaluation(self, masks: list[Mask], prefix: str) -> Evaluation:
        samples = {"labelled": self.video, "held_out": self.held_out}
        scalars = {
            f"{prefix}{name}/{key}": value
            for name, sample in samples.items()
            if sample is not None
            for key, value in measured(masks, sample, self.shown).items()
        }
        shown = self.held_out or self.video
        return Evaluation(scalars, pictures(masks, shown, self.video.volume))

    def _write(self, net: RevSegNet, folder: Path, album: Album) -> tuple[list[Mask], list[float]]:
        """Writes masks in the video's own size; returns them at the size trained on, and the J expected of each."""
        video, masks = self.video, self._room_for_masks()

        def native() -> Iterator[Segmented]:
            for mask, frame in zip(masks, self.segmenter().segment(net, self.placements), strict=True):
                # At the pixels where the annotation, too, is sampled.
                mask[:] = resize_mask(frame.mask, video.height, video.width)
                yield frame._replace(mask=self.objects.as_ids(frame.mask))

        source = Source.of(video, self.reading, sha256=self.sha256)
        expected = write_prediction(
            native(),
            source,
            folder,
            legend=self.objects.legend(net.config.outputs),
            labelled=video.labelled_frames,
            note={"scale": video.scale, "window": self.window, **self.reading.told},
            config=self.output,
            album=album,
        )
        return masks, expected


class Read(NamedTuple):
    """A video as it is read, at the height of its evidence, with its labels."""

    known: Sample
    """With all its labels but those of data.truth."""
    labelled: Sample
    """With those that are trained on, strokes spread for the evidence."""
    truth: Sample | None
    """With those that only tell how good it is."""

    @property
    def told(self) -> list[Sample]:
        """The videos with all labels there are."""
        return [self.known] if self.truth is None else [self.known, self.truth]


def read_one_video(data: DataConfig, *, folder: Path, evidence: EvidenceConfig, sees_evidence: bool = True) -> Read:
    """Decodes the video and reads its masks. folder: where the demo makes its film."""
    known = load_one(data, folder, partial(height_of_evidence, evidence, data.height))
    count = len(known.labelled_frames)
    chosen = range(count) if data.labelled_frames is None else evenly_spaced(count, data.labelled_frames)
    labelled = known.select(known.labelled_frames[i] for i in chosen)
    if sees_evidence:
        labelled = spread(labelled, evidence)
    others = [frame for frame in known.labelled_frames if frame not in labelled.labelled_frames]
    return Read(known, labelled, load_truth(data, labelled) or (known.select(others) if others else None))


def open_one_video(
    read: Read,
    data: DataConfig,
    *,
    objects: Objects,
    store: FlowStore,
    cache: EvidenceCache,
    evidence: EvidenceConfig,
    guidance: GuidanceConfig,
    classes: int | None = None,
    channels: int | None = None,
    sees_evidence: bool = True,
    placements: int = 1,
    seed: int = 0,
    sha256: str | None = None,
    output: OutputConfig = OutputConfig(),  # noqa: B008 (it never changes)
    team: Team = ALONE,
) -> OneVideo:
    """Carries the labels of a video; returns the task.

    objects: those that the network has classes for. classes: None: as many as these need. channels: those that the network is
    for, None: those of the video. sha256: of the video, where it is known. team: processes that open it together.
    """
    known, labelled, truth = read
    classes = classes or max(2, objects.classes)
    for sample in read.told:
        objects.check(sample, classes)
    for sentence in vanishing(labelled, data.height):
        LOG.warning(sentence)
    if not (shown := objects.classes_in(read.told)):
        object_ids(known)  # says so
    labelled, truth = objects.as_classes(labelled), None if truth is None else objects.as_classes(truth)
    if channels is not None:
        check_channels(known.source, len(known.volume), channels)
    observation = observe(
        labelled,
        height=data.height,
        classes=classes,
        config=evidence if sees_evidence else replace(evidence, source="none"),
        store=store,
        cache=cache,
        shares=shares_of(guidance, labelled.whole_frames),
        team=team,
    )
    return OneVideo(
        observation=observation,
        held_out=None if truth is None else _labels_of(truth, observation.video),
        objects=objects,
        shown=shown,
        classes=classes,
        evidence=evidence,
        guidance=None if observation.seen is None else Guidance(observation, guidance, seed, window=data.window),
        placements=placements,
        window=data.window,
        seed=seed,
        reading=data.reading,
        sha256=sha256,
        output=output,
    )


def _labels_of(sample: Sample, video: Sample) -> Item:
    """The labels of a video at the size of another volume of it."""
    volume = video.volume
    return Item(volume, replace(sample, volume=volume).labels, sample.labelled_frames)
