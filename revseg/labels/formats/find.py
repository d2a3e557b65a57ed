"""What labels lie at a path: recognised by content, never by the name alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from revseg.labels.files import mask_files
from revseg.labels.formats import coco, cvat, labelme, yolo, youtube_vis
from revseg.labels.formats.document import Document
from revseg.labels.formats.text import first_character, read_json, read_xml
from revseg.video.folder import visible

PICTURES = ("images", "jpegimages", "img", "frames")
"""Folders of an export that hold the frames."""
DEEPEST = 3
KNOWN = "COCO, YouTube-VIS, labelme, CVAT XML 1.1 and YOLO segmentation are read"


def document_at(path: Path, video: str) -> Document | None:
    """Returns what a file or a folder of a tool says; None where it is none, but pictures or a volume. video: its name."""
    return _in_folder(path, video) if path.is_dir() else _in_file(path, video)


def _in_file(path: Path, video: str) -> Document | None:
    first = first_character(path)
    if first in ("{", "["):
        return _of_json(read_json(path), path, video=video)
    if first == "<":
        root = read_xml(path)
        if not cvat.recognises(root):
            raise ValueError(f"labels {path} are XML of an unknown kind, <{root.tag[:40]}>: {KNOWN}")
        return cvat.read(root, path)
    return None


def _of_json(content: Any, path: Path, *, video: str) -> Document:
    if youtube_vis.recognises(content):
        return youtube_vis.read(content, path, video)
    if coco.recognises(content):
        return coco.read(content, path)
    if labelme.recognises(content):
        return labelme.read([(path, content)])
    raise ValueError(f"labels {path} are JSON of an unknown kind: {KNOWN}")


def _in_folder(folder: Path, video: str, depth: int = 0) -> Document | None:
    """What the files of a folder say, or those of its only folder that has any."""
    texts = {suffix: sorted(p for p in visible(folder) if p.suffix.lower() == suffix) for suffix in (".json", ".xml")}
    masks = bool(mask_files(folder))
    if texts[".json"] and labelme.recognises(_parsed(texts[".json"][0], lenient=masks)):
        return labelme.read_folder(texts[".json"])
    if masks:
        return None
    found = [path for path in (*texts[".xml"], *texts[".json"]) if _is_labels(path)]
    if len(found) > 1:
        raise ValueError(f"labels lie in {found[0]} and in {found[1].name}: give one of them")
    if found:
        return _in_file(found[0], video)
    files = yolo.label_files(folder)
    if files and yolo.recognises(files):
        return yolo.read(files)
    if depth == DEEPEST:
        return None
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    places = [path for path in inner if path.name.lower() not in PICTURES and _holds(path, depth + 1)]
    if len(places) > 1:
        raise ValueError(f"labels lie in {places[0]} and in {places[1].name}: give one of them")
    return _in_folder(places[0], video, depth=depth + 1) if places else None


def _holds(folder: Path, depth: int) -> bool:
    """Whether text files of labels lie in a folder or below."""
    if any(_is_labels(path) for path in visible(folder) if path.suffix.lower() in (".json", ".xml")):
        return True
    if (files := yolo.label_files(folder)) and yolo.recognises(files):
        return True
    inner = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return depth < DEEPEST and any(_holds(path, depth + 1) for path in inner)


def _is_labels(path: Path) -> bool:
    if path.suffix.lower() == ".xml":
        return first_character(path) == "<" and cvat.recognises(read_xml(path))
    content = _parsed(path)
    return any(kind.recognises(content) for kind in (youtube_vis, coco, labelme))


def _parsed(path: Path, *, lenient: bool = False) -> Any:
    """Parsed JSON; None for what is none. lenient: also for what is damaged, where other files are the labels."""
    try:
        return read_json(path) if first_character(path) == "{" else None
    except ValueError:
        if not lenient:
            raise
        return None
