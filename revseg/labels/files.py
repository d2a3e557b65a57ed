"""Which files of a folder are masks, and what else may be given for a folder of masks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from revseg.video.folder import SUFFIXES as PICTURES
from revseg.video.folder import visible
from revseg.video.names import Identity, identity
from revseg.video.slices import format_of

SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
"""Files that hold a mask without loss. JPEG changes labels."""
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".xz", ".bz2")
TEXTS = (".txt", ".csv", ".yaml", ".yml")
FOLDER = "folder with a PNG for each labelled frame, named like the frame"


def mask_files(folder: Path) -> list[Path]:
    """Returns the masks of a folder in the order of their names, suffixes in upper or lower case; hidden files are none."""
    found = (path for path in visible(folder) if path.suffix.lower() in SUFFIXES)
    return sorted(found, key=lambda path: (identity(path.stem), path.name))


def masks_by_name(folder: Path) -> dict[Identity, Path]:
    """Returns the masks of a folder in order, by what their names stand for: 12.png and 00012.png are masks of one frame."""
    return by_name(mask_files(folder))


def by_name(masks: Iterable[Path]) -> dict[Identity, Path]:
    """Returns masks by what their names stand for. Raises ValueError for two of one frame."""
    found: dict[Identity, Path] = {}
    for path in masks:
        if (other := found.setdefault(identity(path.stem), path)) != path:
            raise ValueError(f"{path} and {other} are masks of one frame: remove one")
    return found


def check_labels(path: Path) -> None:
    """Raises ValueError in one sentence for what holds no labels, before a video is decoded for them."""
    if path.is_dir() or format_of(path) is not None:
        return
    if not path.exists():
        raise ValueError(f"folder of masks {path} does not exist: make it, with a PNG per labelled frame")
    suffix = path.suffix.lower()
    if suffix in ARCHIVES and not zipfile.is_zipfile(path):
        raise ValueError(f"masks {path} are an archive that is not read: unpack it, and give the folder, or pack it as zip")
    if suffix in (*SUFFIXES, *PICTURES):
        raise ValueError(f"masks {path} are a single picture: put it into a folder, named like its frame, and give the folder")
    if suffix in TEXTS:
        raise ValueError(f"masks {path} are a text file of no known kind: give COCO, labelme or CVAT, or a {FOLDER}")
