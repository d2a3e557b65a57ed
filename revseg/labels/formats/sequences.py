"""Folders of PNG masks within other folders: datasets like DAVIS and YouTube-VOS, and exports of CVAT.

Annotations/480p/<video>/00000.png                DAVIS
Annotations/<video>/00000.png, meta.json          YouTube-VOS: meta.json names the classes of objects
SegmentationClass/00000.png, labelmap.txt         CVAT's segmentation masks: labelmap.txt names the colours of classes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revseg.labels.files import mask_files
from revseg.labels.formats.text import AGAIN, read_json

LABEL_MAPS = ("labelmap.txt", "label_colors.txt")
DEEPEST = 3


@dataclass(frozen=True)
class Sequence:
    """Masks of one video, and what lies beside them."""

    folder: Path
    names: dict[int, str]
    """Names of classes by object."""
    colours: Path | None = None
    """A table of colours."""


def sequence_at(root: Path, video: str) -> Sequence:
    """Returns the folder of a video's masks in a folder: that itself, or the one named like the video, or the only one."""
    if not root.is_dir() or mask_files(root):
        return Sequence(root, {}, _beside(root))
    places = list(_places(root, DEEPEST))
    classes = [place for place in places if place.name == "SegmentationClass"]
    named = [place for place in places if place.name == video] or classes
    if not named:
        return Sequence(root, {})
    if len(named) > 1:
        raise ValueError(f"masks of {video} lie in {named[0]} and in {named[1]}: give one of them")
    tables = [root / name for name in LABEL_MAPS if (root / name).is_file()]
    return Sequence(named[0], _names(root, video), tables[0] if tables else _beside(named[0]))


def only_place(root: Path) -> Path:
    """Returns the only folder with masks in the folder of an archive; that itself where there are several."""
    places = [] if mask_files(root) else list(_places(root, DEEPEST))
    return places[0] if len(places) == 1 else root


def _places(folder: Path, depth: int) -> Any:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name != "JPEGImages":
            if mask_files(path):
                yield path
            elif depth > 1:
                yield from _places(path, depth - 1)


def _beside(folder: Path) -> Path | None:
    return next((folder / name for name in LABEL_MAPS if (folder / name).is_file()), None)


def _names(root: Path, video: str) -> dict[int, str]:
    """The classes of objects by the meta.json of YouTube-VOS, beside Annotations or the folder of the video."""
    path = root / "meta.json"
    if not path.is_file():
        return {}
    content = read_json(path)
    try:
        objects = content["videos"][video]["objects"] if video in content["videos"] else {}
        found = {int(number): str(entry["category"]) for number, entry in objects.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not the meta.json of YouTube-VOS ({error!r}): remove it, or {AGAIN}") from error
    several = {name for name in found.values() if list(found.values()).count(name) > 1}
    return {number: f"{name} {number}" if name in several else name for number, name in found.items()}
