"""Turns settings into blocks: levels, channels, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from revseg.network.config import NetworkConfig


@dataclass(frozen=True)
class BlockPlan:
    """One block of the sequence: what it does and the size of the fields it works on."""

    kind: Literal["leapfrog", "coarsen", "refine"]
    level: int
    channels: int
    """Channels at ``level`` (for coarsen and refine: those of the finer side)."""
    rank: int
    halve_time: bool


def blocks_of(config: NetworkConfig) -> tuple[BlockPlan, ...]:
    """Returns the blocks: ``levels`` times down, and up again to ``output_level``; ``depth[l]`` blocks at level l on each way.

    The coarsest level is visited once.
    """
    channels, ranks, depths, halves_time = level_channels(config), config.ranks, config.depths, config.halves_time

    def leapfrogs(level: int) -> list[BlockPlan]:
        block = BlockPlan("leapfrog", level, channels=channels[level], rank=ranks[level], halve_time=False)
        return [block] * depths[level]

    def change(kind: Literal["coarsen", "refine"], level: int) -> BlockPlan:
        return BlockPlan(kind, level, channels=channels[level], rank=0, halve_time=halves_time[level])

    down: list[BlockPlan] = []
    up: list[BlockPlan] = []
    for level in range(config.levels):
        down += [*leapfrogs(level), change("coarsen", level)]
        if level >= config.output_level:
            up = [change("refine", level), *leapfrogs(level), *up]
    return (*down, *leapfrogs(config.levels), *up)


def level_channels(config: NetworkConfig) -> tuple[int, ...]:
    channels = [config.channels]
    for halve_time in config.halves_time:
        channels.append(channels[-1] * (8 if halve_time else 4))
    return tuple(channels)


def features(config: NetworkConfig) -> int:
    """Returns the number of features of a cell that the head sees."""
    return 2 * level_channels(config)[config.output_level] + config.evidence_channels


def weight_shapes(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the network's weights, by their names; nothing is built."""
    shapes: dict[str, tuple[int, ...]] = {
        "opening.weight": (config.channels, config.inputs),
        "opening.bias": (config.channels,),
        "head.weight": (config.outputs, features(config)),
        "head.bias": (config.outputs,),
    }
    for index, block in enumerate(blocks_of(config)):
        if block.kind == "leapfrog":
            shapes[f"sequence.blocks.{index}.layer.kernel"] = (block.rank, block.channels, *(config.kernel_size,) * 3)
            shapes[f"sequence.blocks.{index}.layer.bias"] = (block.rank,)
    return shapes


def output_stride(config: NetworkConfig) -> tuple[int, int, int]:
    """Returns how many pixels along T, H and W a cell of the output has."""
    level = config.output_level
    return 2 ** sum(config.halves_time[:level]), 2**level, 2**level


def multiple_of(config: NetworkConfig) -> tuple[int, int, int]:
    """Returns the numbers that T, H and W of the padded volume must be divisible by."""
    return 2 ** sum(config.halves_time), 2**config.levels, 2**config.levels


def most_shards(config: NetworkConfig, padded: int) -> int:
    """Returns to how many ``padded`` frames can be shared out: each shard has a coarse frame, and all that K reaches."""
    return max(1, padded // multiple_of(config)[0] // max(1, config.kernel_size // 2))


def check_shards(config: NetworkConfig, padded: int, count: int) -> None:
    """Raises ValueError where ``padded`` frames cannot be shared out to so many."""
    most, multiple = most_shards(config, padded), multiple_of(config)[0]
    if count > most:
        raise ValueError(
            f"parallel.volume is {count}, but a video of {padded} frames, padded to multiples of {multiple}, can be "
            f"shared out to {most} {'processes' if most > 1 else 'process'}: set parallel.volume={most} or less, or fewer "
            "network.levels"
        )


def shard_frames(config: NetworkConfig, padded: int, count: int) -> int:
    """Returns how many of the frames of a padded volume the largest of ``count`` shards holds."""
    multiple = multiple_of(config)[0]
    return -(-(padded // multiple) // count) * multiple


def seen_frames(config: NetworkConfig, frames: int, count: int) -> int:
    """Returns how many frames of a video the largest of ``count`` shards holds at most, wherever the video lies on the grid."""
    offset = multiple_of(config)[0] - 1
    return min(frames, shard_frames(config, padded_size(config, (frames, 1, 1), (offset, 0, 0))[0], count))


def padded_size(
    config: NetworkConfig, size: tuple[int, int, int], offset: tuple[int, int, int] = (0, 0, 0)
) -> tuple[int, int, int]:
    """Smallest divisible (T, H, W) that holds a volume of ``size`` placed at ``offset``."""
    t, h, w = (-(-(n + o) // m) * m for n, o, m in zip(size, offset, multiple_of(config), strict=True))
    return t, h, w
