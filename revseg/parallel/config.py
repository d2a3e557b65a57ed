"""How the processes that a launcher starts share the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParallelConfig:
    """How processes share the work (docs/howto/several_gpus.md)."""

    volume: Any = 1
    """Processes that hold each volume together, every one some of its frames: for a video that no single one can train on. Their
    number must divide that of all processes; the others take further videos. auto: as few as its memory needs."""

    def __post_init__(self) -> None:
        if self.volume != "auto" and (isinstance(self.volume, bool) or not isinstance(self.volume, int) or self.volume < 1):
            raise ValueError(f"parallel.volume is {self.volume}; give a whole number of at least 1, or auto")

    @property
    def shards(self) -> int:
        """How many hold a volume; 1 where that is not known yet."""
        return 1 if self.volume == "auto" else int(self.volume)
