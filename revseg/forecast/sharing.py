"""How the processes of a run share its work: which take a video each, and how many hold one together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import torch

from revseg.config import TrainConfig
from revseg.forecast.fits import check_memory
from revseg.forecast.outline import Outline, outline_of
from revseg.network.plan import check_shards, most_shards, padded_size
from revseg.parallel.config import ParallelConfig
from revseg.parallel.group import Group


def shared_out(config: TrainConfig, device: torch.device, group: Group) -> TrainConfig:
    """Returns the settings with the videos of a step, which are shared out, and how many processes hold each of them.

    Raises ValueError where a process would have nothing to do.
    """
    shards = shards_of(config, device, group)
    takers = group.world // shards
    videos = config.training.accumulation or takers
    if videos < takers:
        each = "" if shards == 1 else f", {shards} to each (parallel.volume)"
        raise ValueError(
            f"{group.world} processes share out the videos of a step{each}, which are training.accumulation={videos}: start no "
            f"more than {videos * shards}, or set training.accumulation={takers}"
        )
    training = replace(config.training, accumulation=videos)
    return replace(config, training=training, parallel=replace(config.parallel, volume=shards))


def shards_of(config: TrainConfig, device: torch.device, group: Group) -> int:
    """Returns how many processes hold a volume together. Raises ValueError where they do not divide all of them."""
    if config.parallel.volume == "auto":
        outline = outline_of(config, labels=False)
        return (
            group.world if outline is None else enough_shards(config, outline, device, processes=group.neighbours, of=group.world)
        )
    shards = config.parallel.shards
    if shards > group.world or group.world % shards:
        there = "this process is alone" if group.alone else f"{group.world} processes were started"
        raise ValueError(
            f"parallel.volume is {shards}, but {there}: start a multiple of {shards} (torchrun --nproc-per-node={shards} -m "
            "revseg.train ...), or set parallel.volume=1"
        )
    return shards


def check_parts(config: TrainConfig, outline: Outline) -> None:
    """Raises ValueError where a video has too few frames for the processes that hold it together."""
    network = outline.network(config)
    check_shards(network, padded_size(network, outline.seen_size(config.data))[0], config.parallel.shards)


def enough_shards(config: TrainConfig, outline: Outline, device: torch.device, *, processes: int, of: int) -> int:
    """Returns how few of the processes that there are can hold a volume together; as many as can be where that is not enough.

    processes: that share this machine.
    """
    network = outline.network(config)
    most = most_shards(network, padded_size(network, outline.seen_size(config.data))[0])
    counts = [count for count in range(1, min(of, most) + 1) if of % count == 0]
    for count in counts:
        with suppress(ValueError):
            check_memory(replace(config, parallel=ParallelConfig(count)), outline, device, processes=processes)
            return count
    return counts[-1]
