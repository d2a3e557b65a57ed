"""What one measurement runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from revseg.labels.dataset import evenly_spaced

Size = tuple[int, int, int]
"""Frames, height, width."""


@dataclass(frozen=True)
class Case:
    """One network on one volume."""

    peer: str
    size: Size
    depth: tuple[int, ...]
    """Blocks per level, finest first, on the way down and again on the way up; the coarsest level is visited once."""
    task: str = "train"
    """train: forward and backward, gradients left in .grad; infer: a mask of every pixel."""
    channels: int = 4
    rank: int = 16

    @property
    def step_size(self) -> float:
        """Leapfrog step: the default 1, less for more than 8 blocks, whose int16 states might overflow."""
        return min(1.0, 8 / blocks_in(self.depth))

    @property
    def labelled_frames(self) -> list[int]:
        """Four labelled frames, evenly spaced: what a user with few labels has."""
        return list(evenly_spaced(self.size[0], min(4, self.size[0])))

    def record(self) -> dict[str, Any]:
        """Returns the case as it is written to JSON."""
        return asdict(self) | {"size": list(self.size), "depth": list(self.depth)}


@dataclass(frozen=True)
class Group:
    """Cases that are compared with each other."""

    name: str
    cases: tuple[Case, ...]
    repeats: int
    """Timed passes of each; 0 measures peak memory only."""

    def is_in(self, record: dict[str, Any] | None) -> bool:
        """Whether a record holds exactly these cases, measured as often."""
        if record is None or record["repeats"] != self.repeats or len(record["cases"]) != len(self.cases):
            return False
        pairs = zip(record["cases"], (case.record() for case in self.cases), strict=True)
        return all({key: kept.get(key) for key in case} == case for kept, case in pairs)


def blocks_in(depth: Sequence[int]) -> int:
    return 2 * sum(depth[:-1]) + depth[-1]


def depth_of(blocks: int) -> tuple[int, int, int]:
    """Returns `blocks` blocks (even) over two coarsenings: none on level 0, half on level 1, half on level 2."""
    each_way = blocks // 4
    return 0, each_way, blocks - 2 * each_way
