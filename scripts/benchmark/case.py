"""What one measurement runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """One network on one volume.

    size:  frames, height, width of the video
    depth: blocks per level, finest first, on the way down and again on the way up; the coarsest level is
    visited once task:  train (forward and backward, gradients left in .grad), infer (a mask of every pixel),
    block (roofline)
    """

    peer: str
    size: Size
    depth: tuple[int, ...]
    task: str = "train"
    channels: int = 4
    rank: int = 16

    @property
    def levels(self) -> int:
        return len(self.depth) - 1

    @property
    def blocks(self) -> int:
        return blocks_in(self.depth)

    @property
    def step_size(self) -> float:
        """Leapfrog step: the default 1, less for more than 8 blocks, whose int16 states might overflow."""
        return min(1.0, 8 / self.blocks)

    @property
    def voxels(self) -> int:
        frames, height, width = self.size
        return frames * height * width

    @property
    def labelled_frames(self) -> list[int]:
        """Four labelled frames, evenly spaced: what a user with few labels has."""
        frames = self.size[0]
        count = min(4, frames)
        return [round(i * (frames - 1) / max(1, count - 1)) for i in range(count)]

    def record(self) -> dict[str, Any]:
        """As it is written to JSON."""
        return asdict(self) | {"size": list(self.size), "depth": list(self.depth)}


def blocks_in(depth: Sequence[int]) -> int:
    return 2 * sum(depth[:-1]) + depth[-1]


def depth_of(blocks: int) -> tuple[int, int, int]:
    """``blocks`` blocks (even) over two coarsenings: none on level 0, half on level 1, half on level 2."""
    each_way = blocks // 4
    return 0, each_way, blocks - 2 * each_way
