"""Small documents of the tools, written by hand after the tools' descriptions, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from revseg.labels.conventions import Conventions
from revseg.labels.frames import Frames
from revseg.labels.read import Labelled, read_labels

SIZE = HEIGHT, WIDTH = 10, 12
VIDEO = Frames(Path("clip.mp4"), tuple(f"{frame:05d}" for frame in range(8)), SIZE, total=8)


def square(left: int, top: int, side: int) -> list[list[int]]:
    """Corners [x, y]."""
    return [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]


def flat(points: list[list[int]]) -> list[int]:
    return [value for point in points for value in point]


def painted(*areas: tuple[int, int, int, int], ground: int = 0) -> np.ndarray:
    """Squares (left, top, side, label), one over the other."""
    mask = np.full(SIZE, ground, np.uint8)
    for left, top, side, label in areas:
        mask[top : top + side, left : left + side] = label
    return mask


def read(path: Path, frames: Frames = VIDEO, **conventions: Any) -> Labelled:
    return read_labels(path, frames, Conventions(**conventions))


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def coco(*shapes: dict[str, Any], images: int = 3, **more: Any) -> dict[str, Any]:
    """COCO of frames 0, 1, ...; shapes: image, category, segmentation."""
    listed = [{"id": i, "file_name": f"frame_{i:06d}.PNG", "height": HEIGHT, "width": WIDTH} for i in range(images)]
    annotations = [
        {"id": 1 + number, "image_id": shape["image"], "category_id": shape["category"], **shape["more"]}
        for number, shape in enumerate(shapes)
    ]
    return {
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}],
        **more,
    }


def area(image: int, category: int, points: list[list[int]], **more: Any) -> dict[str, Any]:
    return {"image": image, "category": category, "more": {"segmentation": [flat(points)], **more}}


def labelme(*shapes: dict[str, Any], name: str = "00002.png", **more: Any) -> dict[str, Any]:
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": None, **size, **more}


def drawn(label: str, points: list[list[float]], kind: str = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def cvat(body: str, meta: str = "") -> str:
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    return f'<?xml version="1.0"?>\n<annotations><version>1.1</version><meta><task>{meta}{size}</task></meta>{body}</annotations>'


def polygon(points: list[list[int]], **attributes: Any) -> str:
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<polygon points="{";".join(f"{x}.00,{y}.00" for x, y in points)}"{given}></polygon>'
