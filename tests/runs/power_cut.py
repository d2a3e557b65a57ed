"""A disk that loses all that was not synced when the power is cut: real files and calls, and a record of what was synced.

A file has the content of its last fsync, a folder the names of its last one; what neither had is gone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest


class PowerCut:
    """Watches os.fsync below a folder; `moment` is called after each, with what a power cut there would leave."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, moment: Callable[[dict[str, bytes]], None] | None = None) -> None:
        self.folder, self.moment = folder, moment
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._fsync = os.fsync
        for path in (folder, *folder.rglob("*")):  # what is there before is on the disk
            self._record(path)
        patch.setattr(os, "fsync", self._synced)

    def _synced(self, file: int) -> None:
        self._fsync(file)
        self._record(Path(os.readlink(f"/proc/self/fd/{file}")))
        if self.moment is not None:
            self.moment(self.left())

    def _record(self, path: Path) -> None:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        else:
            self._contents[found.st_ino] = path.read_bytes()

    def left(self) -> dict[str, bytes]:
        """What a power cut now leaves in the folder, by path."""
        return dict(self._left(self.folder.stat().st_ino, Path()))

    def _left(self, number: int, path: Path) -> list[tuple[str, bytes]]:
        if number in self._names:
            return [each for name, inside in self._names[number].items() for each in self._left(inside, path / name)]
        return [(str(path), self._contents.get(number, b""))]
