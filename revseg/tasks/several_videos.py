"""Task one_video for several videos: one network learns from the labels of all, and segments each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from statistics import fmean
from typing import Any

from revseg.evidence.cache import digest
from revseg.network.inference import Predict
from revseg.network.memory import Size
from revseg.network.network import RevSegNet
from revseg.output.report import Frames
from revseg.runs.provenance import digest_of
from revseg.tasks.config import DataConfig
from revseg.tasks.objects import Objects
from revseg.tasks.one_video import OneVideo, Read, VideoResult
from revseg.tasks.videos import expanded, folders_of, labels_of
from revseg.training.feed import shuffled_position
from revseg.training.item import Item
from revseg.training.task import Evaluation, Picture
from revseg.video.scale import Scale

LOG = logging.getLogger("revseg")

MEANS = ("J", "F", "JF", "volume_J", "expected_J")
"""Measures of the run: the mean of those of the videos that have them."""


@dataclass(frozen=True)
class SeveralVideos:
    """Videos with labels each; the objects with one id, or one name, are one class in all. Step by step one takes its turn."""

    videos: Mapping[str, OneVideo]
    """By the names of their results."""
    seed: int = 0

    @property
    def first(self) -> OneVideo:
        """The one that knows what all have in common."""
        return next(iter(self.videos.values()))

    @property
    def sees_evidence(self) -> bool:
        """Whether the network sees evidence."""
        return self.first.sees_evidence

    @property
    def finetune_share(self) -> int:
        """As for the video that needs the most steps."""
        return min(video.finetune_share for video in self.videos.values())

    @property
    def shared_out(self) -> bool:
        """All are segmented by one process."""
        return False

    @property
    def channels(self) -> int:
        """How many channels the videos have."""
        return self.first.channels

    @property
    def classes(self) -> int:
        """How many classes the network has, background included."""
        return self.first.classes

    @property
    def objects(self) -> Objects:
        """Those that the network has classes for."""
        return self.first.objects

    @property
    def scale(self) -> Scale | None:
        """How the values of volumes became bytes."""
        return self.first.scale

    @property
    def label_count(self) -> int:
        """How many labelled frames are trained on, of all videos."""
        return sum(video.label_count for video in self.videos.values())

    @cached_property
    def labels_key(self) -> str:
        """Key of the labels that are trained on."""
        return digest("labels of several", *(video.labels_key for video in self.videos.values()))

    def check_output(self, folder: Path) -> None:
        """Raises ValueError where the results of another video lie where those of one of these go."""
        for name, video in self.videos.items():
            video.check_output(folder / name)

    def with_inference(self, predict: Predict) -> SeveralVideos:
        """Returns the same with another way to a network's probabilities."""
        return replace(self, videos={name: video.with_inference(predict) for name, video in self.videos.items()})

    def item(self, index: int) -> Item:
        """Returns what step number `index` is trained on."""
        videos = list(self.videos.values())
        return videos[shuffled_position(index, len(videos), self.seed)].item(index)

    def largest(self) -> tuple[Size, int]:
        """Returns the size (T, H, W) of the largest video, and on how many frames a step is trained at most."""
        found = [video.largest() for video in self.videos.values()]
        return max((size for size, _ in found), key=prod), max(labelled for _, labelled in found)

    def evaluate(self, net: RevSegNet) -> Evaluation:
        """Measures the network alone on each."""
        return together({name: video.evaluate(net) for name, video in self.videos.items()})

    def finish(self, net: RevSegNet, folder: Path) -> VideoResult:
        """Writes masks and overlay of each into a folder of its name, and measures them.

        The measures of ``OneVideo.finish``, of each as "videos", and their means; label_next: with the names of the videos.
        """
        results = {}
        for name, video in self.videos.items():
            LOG.info(f"segmenting {name}")
            results[name] = video.finish(net, folder / name)
        of_each = {name: result.metrics for name, result in results.items()}
        metrics: dict[str, Any] = {"videos": of_each}
        for name in MEANS:
            known = [value for each in of_each.values() if (value := each[name]) is not None]
            metrics[name] = fmean(known) if known else None
        metrics["label_next"] = [f"{name}/{frame}" for name, each in of_each.items() for frame in each["label_next"]]
        frames = Frames.together({name: result.frames for name, result in results.items()})
        return VideoResult(metrics, together({name: result.evaluation for name, result in results.items()}), frames)


def together(evaluations: Mapping[str, Evaluation]) -> Evaluation:
    """Returns the means of the scalars of several videos, the scalars of each, and all pictures."""
    values: dict[str, list[float]] = {}
    scalars: dict[str, float] = {}
    pictures: dict[str, Picture] = {}
    for name, each in evaluations.items():
        for key, value in each.scalars.items():
            values.setdefault(key, []).append(value)
            scalars[f"{key}/{name}"] = value
        pictures |= {f"{name}/{key}": picture for key, picture in each.pictures.items()}
    return Evaluation({key: fmean(some) for key, some in values.items()} | scalars, pictures)


def each_of(data: DataConfig) -> dict[str, DataConfig]:
    """Returns the settings of each of several videos, by the names of their results.

    Raises ValueError where a pattern matches nothing, or a video has no labels in data.masks.
    """
    videos = expanded(data.videos)
    if data.masks is None:
        raise ValueError("data.masks is not set; give the folder where each of the videos has its labels, by its name")
    folders = {key: Path(given) for key in ("masks", "truth") if (given := getattr(data, key)) is not None}
    for key, folder in folders.items():
        if not folder.is_dir():
            raise ValueError(f"data.{key}={folder} is no folder; each of several videos has its labels in one, by its name")
    found = {}
    for path, name in zip(videos, folders_of(videos), strict=True):
        own = {key: str(labels_of(path, folder, name, setting=f"data.{key}")) for key, folder in folders.items()}
        found[name] = replace(data, video=str(path), videos=None, **own)  # type: ignore[arg-type]
    return found


def open_several_videos(
    data: DataConfig,
    objects: Objects,
    *,
    read_one: Callable[[DataConfig], Read],
    open_one: Callable[..., OneVideo],
    seed: int = 0,
) -> SeveralVideos:
    """Reads all videos, then carries the labels of one after the other; returns the task.

    objects: those that the network has classes for already. read_one, open_one: ``read_one_video`` and ``open_one_video``, which
    is called with what was read, its settings, objects and sha256.
    """
    settings = each_of(data)
    read = {name: read_one(own) for name, own in settings.items()}
    objects = objects.with_those_of(sample for one in read.values() for sample in one.told)
    first = next(iter(read.values())).known
    for one in read.values():
        if len(one.known.volume) != len(first.volume) or one.known.scale != first.scale:
            raise ValueError(f"{one.known.source} has other channels or values than {first.source}: train on each by itself")
    videos: dict[str, OneVideo] = {}
    for name, own in settings.items():
        LOG.info(f"video {len(videos) + 1} of {len(settings)}: {own.video}")
        sha256 = digest_of(Path(str(own.video)))
        videos[name] = open_one(read.pop(name), own, objects=objects, sha256=sha256)
    return SeveralVideos(videos, seed)
