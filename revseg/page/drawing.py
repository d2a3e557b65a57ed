"""The labels that a person draws: a folder of masks as data.masks= reads it, each written whole as soon as it is drawn."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from revseg.labels.files import mask_files, masks_by_name
from revseg.labels.masks import Labels, read_mask, write_mask
from revseg.labels.objects import Object, objects_of, read_objects, write_objects
from revseg.labels.palette import VOID
from revseg.runs.atomic import remove_leftovers, sync_folder
from revseg.video.names import identity

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#ffe119", "#f58231", "#42d4f4", "#f032e6", "#bfef45", "#fabed4", "#469990")


class Changed(ValueError):
    """Somebody else changed a mask meanwhile."""


class Drawing:
    """The masks of a video's frames in a folder. A revision is the number of the writing that made a mask; 0: there is none.

    names: of the frames, and so of the masks. size: (H, W) of each.
    """

    def __init__(self, folder: Path, size: tuple[int, int], names: Sequence[str]) -> None:
        self.folder, self.size, self.names = folder, size, names
        self._lock = threading.Lock()
        self._revisions: dict[int, int] = {}
        self._found, self._written = 0, 0
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file: give the folder of the masks with data.masks=")
        named = read_objects(folder)
        self.objects = [_object(number) for number in self._ids()] if named is None else named
        if folder.is_dir():
            remove_leftovers(folder)
        self._files = {} if not folder.is_dir() else masks_by_name(folder)
        if self._files:  # of another video, it is told before the page opens
            first = next(iter(self._files.values()))
            self._check(first, read_mask(first, "davis2017", ids=True))

    def revisions(self) -> dict[int, int]:
        """Returns the revision of each frame with a mask."""
        self._find()
        with self._lock:
            return dict(self._revisions)

    def read(self, index: int) -> tuple[Labels, int]:
        """Returns the labels (H, W) of a frame, and their revision. Raises KeyError where it has none."""
        self._find()
        with self._lock:
            revision = self._revisions[index]
            path = self._path(index)
            labels = read_mask(path, "davis2017", ids=True)
        self._check(path, labels)
        return labels, revision

    def write(self, index: int, labels: Labels | None, known: int) -> int:
        """Writes the labels of a frame, None removes them; returns the new revision.

        known: the revision that was changed. Raises Changed where it is not the last one: nothing is lost, the other stays.
        """
        self._find()
        with self._lock:
            if known != self._revisions.get(index, 0):
                raise Changed(f"the labels of frame {self.names[index]} were changed in another window")
            path = self._path(index)
            if labels is None:
                path.unlink(missing_ok=True)
                sync_folder(self.folder)
                self._files.pop(identity(self.names[index]), None)
                self._revisions.pop(index, None)
                return 0
            if labels.shape != self.size:
                raise ValueError(f"labels of {labels.shape[1]} x {labels.shape[0]} pixels are not of the size of the video")
            write_mask(path, labels)
            self._files[identity(self.names[index])] = path
            self._written += 1  # of all frames together: a mask that is removed and drawn anew gets no revision of before
            self._revisions[index] = self._written
            return self._written

    def name_objects(self, objects: Sequence[dict[str, Any]]) -> None:
        """Writes names and colours. Raises ValueError where they are none."""
        named = objects_of(objects)
        with self._lock:
            write_objects(self.folder, named)
        self.objects = named

    def _find(self) -> None:
        """Frames come while the video is decoded: those that have a mask of before get their revision."""
        with self._lock:
            for index, name in enumerate(self.names[self._found :], self._found):
                if identity(name) in self._files:
                    self._revisions.setdefault(index, 1)
                    self._written = max(1, self._written)
            self._found = len(self.names)

    def _path(self, index: int) -> Path:
        name = self.names[index]
        return self._files.get(identity(name), self.folder / f"{name}.png")

    def _check(self, path: Path, labels: Labels) -> None:
        if labels.shape != self.size:
            raise ValueError(
                f"mask {path} is {labels.shape[1]} x {labels.shape[0]} pixels, but the video is {self.size[1]} x {self.size[0]}: "
                "give another folder with data.masks="
            )

    def _ids(self) -> list[int]:
        """The ids that masks of before have; without any, one object."""
        found: set[int] = set()
        if self.folder.is_dir():
            for path in mask_files(self.folder):
                found.update(np.unique(read_mask(path, "davis2017", ids=True)).tolist())
        return sorted(found - {0, VOID}) or [1]


def _object(number: int) -> Object:
    return Object(number, f"object {number}", COLOURS[(number - 1) % len(COLOURS)])
