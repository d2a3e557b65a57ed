"""What labels have to fit: the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from revseg.video.names import Identity, identity
from revseg.video.slices import frame_files


@dataclass(frozen=True)
class Frames:
    """What a video says of its frames."""

    source: Path
    names: tuple[str, ...]
    native_size: tuple[int, int]
    lost: tuple[str, ...] = ()
    """Names of frames that could not be decoded."""
    total: int | None = None
    """How many frames a file has; None where reading ended before it. Those of a folder are counted."""

    @property
    def numbered(self) -> bool:
        """Whether the names are numbers, counted from 0, as those of a file are. In a folder they are those of files."""
        return not self.source.is_dir()

    @cached_property
    def there(self) -> tuple[str, ...]:
        """Names of all frames of a folder in order, those that were not read too."""
        return tuple(path.stem for path in frame_files(self.source))

    @property
    def places(self) -> tuple[int, ...]:
        """Where each frame stands in the whole video, counted from 0."""
        if self.numbered:
            return tuple(map(int, self.names))
        place = {name: index for index, name in enumerate(self.there)}
        return tuple(place[name] for name in self.names)

    @property
    def count(self) -> int | None:
        """How many frames the whole video has; None where that is not known."""
        return self.total if self.numbered else len(self.there)

    def left_out(self, key: Identity) -> bool:
        """Whether a frame of the video that was not read has this name."""
        if not self.numbered:
            return any(key == identity(name) for name in self.there)
        number = int(key[1])
        return self.total is None or number < self.total
