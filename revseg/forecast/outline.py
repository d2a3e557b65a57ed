"""What a run will be on, told by headers and labels: no more than one frame is decoded."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from revseg.config import TrainConfig
from revseg.demo import film
from revseg.evidence.memory import EvidenceSize
from revseg.evidence.observation import height_of_evidence
from revseg.labels.dataset import evenly_spaced, objects_in
from revseg.labels.files import check_labels
from revseg.labels.frames import Frames
from revseg.labels.read import read_labels
from revseg.network.config import NetworkConfig
from revseg.network.memory import Size
from revseg.network.windows import window_frames
from revseg.tasks.config import DataConfig
from revseg.tasks.guidance import pseudo_frames_of
from revseg.tasks.one_video import OneVideo
from revseg.tasks.several_videos import SeveralVideos, each_of
from revseg.tasks.source import inputs_of, open_split, path_of
from revseg.training.window import most_labelled
from revseg.video.folder import image_files
from revseg.video.frame import resized
from revseg.video.memory import Footage
from revseg.video.read import Probe, native_frames, opened, probe


@dataclass(frozen=True)
class Outline:
    """A video and its labels, in numbers."""

    footage: Footage
    labelled_frames: tuple[int, ...]
    """Those that are trained on."""
    known: int
    """How many masks there are, those that are held out too."""
    classes: int
    assumed: bool = False
    """Whether there are no labels to tell, and as few as can be are assumed."""
    beside: tuple[Outline, ...] = ()
    """Other videos of the run, which stay in memory beside this one, the largest."""

    @classmethod
    def of(cls, task: OneVideo | SeveralVideos) -> Outline:
        """Returns the outline of a task that is open."""
        if isinstance(task, SeveralVideos):
            return with_others([cls.of(video) for video in task.videos.values()])
        video = task.video
        footage = Footage(video.frames, video.native_size, task.channels)
        held_out = 0 if task.held_out is None else len(task.held_out.labelled_frames)
        return cls(footage, video.labelled_frames, known=task.label_count + held_out, classes=task.classes)

    def network_size(self, data: DataConfig) -> Size:
        """Returns (T, H, W) of the video at the height of the network."""
        return self.footage.frames, *resized(self.footage.native_size, data.height)

    def seen_size(self, data: DataConfig) -> Size:
        """Returns (T, H, W) of what the network sees at a time: of a window, or the same."""
        frames, height, width = self.network_size(data)
        return window_frames(frames, data.window), height, width

    def evidence_size(self, config: TrainConfig) -> EvidenceSize:
        """Returns what evidence is made of."""
        native = self.footage.native_size
        height = height_of_evidence(config.evidence, config.data.height, native[0])
        shares = config.guidance.shares if len(self.labelled_frames) > 1 else config.guidance.shares_of_one
        size, frames = resized(native, height), self.footage.frames
        return EvidenceSize(frames, size, self.classes, labelled_frames=self.labelled_frames, shares=len(shares))

    def trained_frames(self, config: TrainConfig) -> int:
        """Returns on how many frames a step is trained."""
        frames, window = self.footage.frames, config.data.window
        if config.task == "dataset":
            return window_frames(frames, window)
        labelled = most_labelled(self.labelled_frames, frames, window)
        if not sees_evidence(config):
            return labelled
        one = len(self.labelled_frames) == 1
        return min(window_frames(frames, window), labelled + pseudo_frames_of(config.guidance, one=one))

    def network(self, config: TrainConfig) -> NetworkConfig:
        """Returns the settings of the network, with what the video and its labels say."""
        return replace(config.network, classes=self.classes, in_channels=self.footage.channels, evidence=sees_evidence(config))

    def with_frames(self, frames: int) -> Outline:
        """Returns the same for another number of frames, as many of them labelled."""
        count = min(frames, len(self.labelled_frames))
        labelled = evenly_spaced(frames, count) if count else ()
        return replace(self, footage=replace(self.footage, frames=frames), labelled_frames=labelled)


def with_others(outlines: list[Outline]) -> Outline:
    """Returns the outline of several videos: of the largest, with the others beside it."""
    classes = max(outline.classes for outline in outlines)
    alike = [replace(outline, classes=classes) for outline in outlines]
    largest = max(range(len(alike)), key=lambda place: alike[place].footage.frames * alike[place].footage.native_pixels)
    return replace(alike[largest], beside=tuple(alike[:largest] + alike[largest + 1 :]))


def sees_evidence(config: TrainConfig) -> bool:
    """Whether the network sees evidence."""
    asked = config.network.evidence
    return config.evidence.source != "none" if asked is None else asked


def outline_of(config: TrainConfig, *, labels: bool) -> Outline | None:
    """Returns the outline of what a training with these settings is on; None where only decoding tells how many frames there are.

    labels: whether they are read; else a frame is taken for labelled, or as many as data.labelled_frames says, and an object.
    """
    data, classes = config.data, config.network.classes
    if config.task == "dataset":
        return _of_dataset(config)
    if data.videos is not None:
        found_of_each = [outline_of(replace(config, data=own), labels=labels) for own in each_of(data).values()]
        return None if None in found_of_each else with_others([each for each in found_of_each if each is not None])
    if data.demo and not Path(str(data.video)).exists():
        count = data.labelled_frames or film.FRAMES
        footage = Footage(film.FRAMES, film.SIZE)
        return Outline(footage, evenly_spaced(film.FRAMES, count), known=film.FRAMES, classes=classes or 2)
    if data.video is not None and data.masks is None and not labels:
        return None  # the task says so
    path = path_of(data)
    found = probe(path, data.reading)
    if found.frames is None and not labels:
        return None
    names = _counted(path, data) if found.frames is None else _names(path, data, found)
    frames = len(names)
    footage = Footage(frames, found.native_size, config.network.in_channels or found.channels)
    _, masks = inputs_of(data)
    if not labels or masks is None:
        assumed = evenly_spaced(frames, min(frames, data.labelled_frames or 1))
        return Outline(footage, assumed, known=len(assumed), classes=classes or 2, assumed=True)
    check_labels(masks)
    encoding = data.encoding or ("davis2017" if data.video is not None else f"davis{data.year}")
    conventions = replace(data.conventions, encoding=encoding)
    frames_there = Frames(path, names, found.native_size, total=found.frames)
    known, positions, *_ = read_labels(masks, frames_there, conventions)
    chosen = range(len(positions)) if data.labelled_frames is None else evenly_spaced(len(positions), data.labelled_frames)
    needed = max(2, 1 + len(objects_in(known)))
    return Outline(footage, tuple(positions[row] for row in chosen), known=len(positions), classes=classes or needed)


def _of_dataset(config: TrainConfig) -> Outline:
    """The largest video of the training split, with all its masks; those that are made ready beside it are not counted."""
    data = config.data
    dataset = open_split(data, data.training_split)
    sizes = {name: dataset.size(name, None) for name in dataset.names}
    frames, height, width = max(sizes.values(), key=prod)
    classes = config.network.classes or max(2, *(dataset.classes(name) for name in dataset.names))
    return Outline(Footage(frames, (height, width)), (), known=frames, classes=classes)


def _names(path: Path, data: DataConfig, found: Probe) -> tuple[str, ...]:
    """Names of the frames that are read. Where a part is given in seconds and the frame rate varies, they are about those."""
    assert found.frames is not None
    places = data.part.positions(path, found.frames, 1 / found.frame_rate)
    if (slices := opened(path, data.reading)) is not None:
        return tuple(slices.names[place] for place in places)
    if path.is_dir():
        files = image_files(path)
        return tuple(files[place].stem for place in places)
    return tuple(f"{place:05d}" for place in places)


def _counted(path: Path, data: DataConfig) -> tuple[str, ...]:
    """Names frames by decoding them, where the container does not say how many there are."""
    logging.getLogger("revseg").warning(f"{path} does not say how many frames it has: they are decoded to be counted")
    with closing(native_frames(path, data.reading)) as frames:
        return tuple(frame.name for frame in frames)
