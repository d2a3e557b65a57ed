"""Opens what a training is on: reads videos and labels, and finds or takes from a folder what optical flow says of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from revseg.config import TrainConfig
from revseg.device import choose_device
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.store import FlowStore
from revseg.evidence.team import Team
from revseg.parallel.group import ALONE, Group
from revseg.runs.folder import RunFolder
from revseg.runs.provenance import Inputs
from revseg.tasks.dataset import DatasetTask, open_dataset
from revseg.tasks.objects import Objects, trained_objects
from revseg.tasks.one_video import OneVideo, open_one_video, read_one_video
from revseg.tasks.several_videos import SeveralVideos, each_of, open_several_videos
from revseg.tasks.source import demo_film, inputs_of
from revseg.training.checkpoint import Checkpoint

AnyTask = OneVideo | SeveralVideos | DatasetTask


def inputs_read(config: TrainConfig) -> Inputs:
    """Returns what the run reads, by content; nothing of a dataset."""
    if config.task == "dataset":
        return Inputs()
    if config.data.videos is None:
        return Inputs.read(*inputs_of(config.data))
    return Inputs.together({name: Inputs.read(*inputs_of(own)) for name, own in each_of(config.data).items()})


def evidence_store(
    config: TrainConfig, folder: RunFolder, device: torch.device | None = None, *, part: int = 0
) -> tuple[FlowStore, EvidenceCache]:
    """Returns where flow and evidence are kept: in the run's folder, or until the end. device: None: that of the settings. part:
    rank of the process."""
    keep = config.evidence.cache
    # The flow of a whole dataset would fill the disk; what was found with it is small.
    keep_flow = keep and config.task == "one_video"
    store = FlowStore(
        folder.evidence if keep_flow else folder.path, keep=keep_flow, device=device or choose_device(config.device), part=part
    )
    return store, EvidenceCache(folder.evidence if keep else None)


def open_task(
    config: TrainConfig,
    folder: RunFolder,
    saved: Checkpoint | None = None,
    *,
    store: FlowStore,
    cache: EvidenceCache,
    sha256: str | None = None,
    group: Group = ALONE,
) -> AnyTask:
    """Returns what is trained on: its videos are decoded, and labels carried, as far as that is done once.

    sha256: of the one video, where it is known.
    """
    sees = config.network.evidence
    sees = config.evidence.source != "none" if sees is None else sees
    if config.task == "dataset":
        return open_dataset(
            config.data,
            store=store,
            cache=cache,
            evidence=config.evidence if sees else replace(config.evidence, source="none"),
            classes=config.network.classes,
            placements=config.placements,
            seed=config.seed,
            output=config.output,
            group=group,
        )
    if config.data.demo:
        group.from_first(partial(demo_film, folder.path))
    read = partial(read_one_video, folder=folder.path, evidence=config.evidence, sees_evidence=sees)
    opened = partial(
        open_one_video,
        store=store,
        cache=cache,
        evidence=config.evidence,
        guidance=config.guidance,
        classes=config.network.classes,
        channels=config.network.in_channels,
        sees_evidence=sees,
        placements=config.placements,
        seed=config.seed,
        output=config.output,
    )
    if config.evidence.cache:  # without it, nobody learns what another process has found
        opened = partial(opened, team=Team(group.rank, group.world, group.barrier))
    objects = Objects() if saved is None else trained_objects(saved)
    if config.data.videos is not None:
        return open_several_videos(config.data, objects, read_one=read, open_one=opened, seed=config.seed)
    video = read(config.data)
    return opened(video, config.data, objects=objects.with_those_of(video.told), sha256=sha256)
