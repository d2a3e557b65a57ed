"""YouTube-VIS JSON: videos, categories, and an annotation for each object with its outline on every frame, or null.

All frames of a video in the file are labelled: null says that the object is not there.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from revseg.labels.formats.coco import category_names, figure_of, label_of, size_of
from revseg.labels.formats.document import Document, Drawing, Shape
from revseg.labels.formats.text import AGAIN

Names = list[str]


def recognises(content: Any) -> bool:
    """Whether parsed JSON has the lists of YouTube-VIS."""
    return isinstance(content, dict) and all(isinstance(content.get(name), list) for name in ("videos", "annotations"))


def read(content: Any, path: Path, video: str) -> Document:
    """Returns the frames of the video that has a name; of the only one, whatever its name."""
    names = category_names(content, path)
    chosen, files = _chosen(content["videos"], path, video)
    size = size_of(chosen, f"video {chosen.get('id')!r} of labels {path}")
    shapes: list[list[Shape]] = [[] for _ in files]
    for annotation in content["annotations"]:
        if not isinstance(annotation, dict):
            raise ValueError(f"labels {path} have an annotation that is none: {AGAIN}")
        if annotation.get("video_id") != chosen.get("id"):
            continue
        key = annotation.get("id")
        where, parts = f"annotation {key!r} of labels {path}", annotation.get("segmentations")
        if not isinstance(parts, list) or len(parts) != len(files) or not isinstance(key, (int, str)):
            raise ValueError(f"{where} has not one outline for each of {len(files)} frames: {AGAIN}")
        label = label_of(annotation, names, where)
        for of_frame, part in zip(shapes, parts, strict=True):
            if (figure := figure_of(part, size, where)) is not None:
                of_frame.append(Shape(label, figure, key))
    drawings = tuple(Drawing(file, tuple(found), size) for file, found in zip(files, shapes, strict=True))
    return Document("YouTube-VIS JSON", drawings, tuple(names.values()), smaller_on_top=True)


def _chosen(videos: list[Any], path: Path, video: str) -> tuple[dict[str, Any], Names]:
    found: dict[str, tuple[dict[str, Any], Names]] = {}
    for each in videos:
        files = each.get("file_names") if isinstance(each, dict) else None
        if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
            raise ValueError(f"labels {path} have a video without file_names: {AGAIN}")
        name = str(each.get("name") or PurePosixPath(files[0].replace("\\", "/")).parent.name)
        found[name] = each, files
    if len(found) == 1:
        return next(iter(found.values()))
    if video not in found:
        raise ValueError(f"labels {path} have {len(found)} videos, and none of them is called {video}: name the video as they do")
    return found[video]
