"""What labels have to fit: the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Frames:
    """What a video says of its frames."""

    source: Path
    names: tuple[str, ...]
    native_size: tuple[int, int]
    lost: tuple[str, ...] = ()
    """Names of frames that could not be decoded."""
    cut: bool = False
    """Whether there may be more frames than were read."""

    @property
    def numbered(self) -> bool:
        """Whether the names are numbers, counted from 0, as those of a file are. In a folder they are those of files."""
        return not self.source.is_dir()
