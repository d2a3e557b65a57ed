"""YOLO segmentation: a text file for each frame, with a line for each object: its class, and the corners of its outline.

Corners are shares of width and height. Names of classes stand in data.yaml, or in classes.txt.

The smaller of two objects lies on top, as in Ultralytics. An empty file is not a label: some tools write one for every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from revseg.labels.formats.document import Document, Drawing, Points, Raster, Shape, Size
from revseg.labels.formats.text import AGAIN, number, read_bytes
from revseg.video.folder import visible

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names")
LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "classes.txt", "obj.names", "readme.txt", "readme.roboflow.txt")
"""Text files beside labels that are none."""
FOLDERS = ("labels", "obj_train_data")
"""Folders of labels in a dataset; beside them lie the names of classes."""


@dataclass(frozen=True, eq=False)
class Shares:
    """A polygon in shares of width and height. Its corners are middles of pixels that belong to it, as in Ultralytics."""

    outline: Points
    whole: bool = True

    def pixels(self, size: Size, stroke_width: int) -> Raster:
        """Returns the pixels in a picture of a size."""
        canvas = np.zeros(size, np.uint8)
        cv2.fillPoly(canvas, [np.rint(self.outline * size[::-1]).astype(np.int32)], 1)
        return canvas.astype(bool)


def label_files(folder: Path) -> list[Path]:
    """Returns the text files of a folder that may be labels."""
    return sorted(path for path in visible(folder) if path.suffix.lower() == ".txt" and path.name.lower() not in LISTS)


def recognises(files: Sequence[Path]) -> bool:
    """Whether the first text file with any content has a line of numbers, the first of them a class."""
    for path in files:
        words = path.read_bytes()[: 1 << 16].split(b"\n")[0].split()
        if words:
            return len(words) >= 5 and words[0].isdigit() and all(_is_share(word) for word in words[1:7])
    return False


def read(files: Sequence[Path]) -> Document:
    """Returns the frames of the files of one folder."""
    names = _names(files[0].parent)
    drawings, empty = [], 0
    for path in files:
        shapes = _shapes(path, names)
        if shapes:
            drawings.append(Drawing(path.name, shapes))
        else:
            empty += 1
    remarks = (f"{empty} of its files are empty and are not labels",) if empty else ()
    used = [int(shape.label) for drawing in drawings for shape in drawing.shapes if not names]
    classes = tuple(names) if names else tuple(map(str, range(1 + max(used, default=-1))))
    return Document("YOLO segmentation", tuple(drawings), classes, smaller_on_top=True, remarks=remarks)


def _shapes(path: Path, names: Sequence[str]) -> tuple[Shape, ...]:
    found = []
    for index, line in enumerate(_lines(path), 1):
        words = line.split()
        if not words:
            continue
        where = f"line {index} of labels {path}"
        if len(words) == 5:
            raise ValueError(f"{where} is a box and no outline: export labels for segmentation")
        if not words[0].isdecimal() or len(words) < 7 or len(words) % 2 == 0:
            raise ValueError(f"{where} is not a class and the corners of an outline: {AGAIN}")
        outline = np.array([number(word) for word in words[1:]]).reshape(-1, 2)
        if outline.min() < -0.01 or outline.max() > 1.01:
            raise ValueError(f"{where} has corners that are no shares from 0 to 1 of width and height: {AGAIN}")
        if names and int(words[0]) >= len(names):
            raise ValueError(f"{where} is of class {words[0]}, but there are {len(names)} names of classes: {AGAIN}")
        found.append(Shape(names[int(words[0])] if names else str(int(words[0])), Shares(outline)))
    return tuple(found)


def _lines(path: Path) -> list[str]:
    try:
        return read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"labels {path} are not text in UTF-8: {AGAIN}") from error


def _names(folder: Path) -> list[str]:
    """Names of classes, from the folder of the files, or from a dataset whose labels they are."""
    places = [folder]
    for labels in (folder, folder.parent):
        if labels.name.lower() in FOLDERS:
            places = [folder, *folder.parents][: 2 if labels == folder else 3]
    return next((_names_in(place / name) for place in places for name in NAMES if (place / name).is_file()), [])


def _names_in(path: Path) -> list[str]:
    if path.suffix.lower() not in (".yaml", ".yml"):
        return [line.strip() for line in _lines(path) if line.strip()]
    try:
        content = yaml.safe_load("\n".join(_lines(path)))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"names of classes in {path} are not YAML: {AGAIN}") from error
    return _listed(content.get("names") if isinstance(content, dict) else None, path)


def _listed(names: Any, path: Path) -> list[str]:
    if isinstance(names, dict) and names and all(type(key) is int and 0 <= key < 10_000 for key in names):
        return [str(names.get(key, key)) for key in range(max(names) + 1)]
    if isinstance(names, list) and names:
        return [str(name) for name in names]
    raise ValueError(f"{path} has no names of classes: write names: [cat, dog], or leave the file out")


def _is_share(word: bytes) -> bool:
    try:
        return -0.01 <= float(word) <= 1.01
    except ValueError:
        return False
