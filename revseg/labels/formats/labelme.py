"""labelme JSON: a file for each frame, with shapes from the lowest to the topmost.

Polygons, rectangles, circles and masks are areas; lines and points are strokes, beside which all is unknown. A file without
shapes is not a label: labelme writes one only for its flags.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from revseg.labels.formats.document import Document, Drawing, Figure, Points, Shape, Size
from revseg.labels.formats.figures import Patch, Polygons, Strokes, box, ellipse
from revseg.labels.formats.text import AGAIN, number, points_of, read_json

AREAS = {"polygon": 3, "rectangle": 2, "oriented_rectangle": 4, "circle": 2, "mask": 2}
LEAST = AREAS | {"linestrip": 2, "line": 2, "point": 1, "points": 1}
"""Kinds of shapes, and how many points each has at least."""


def recognises(content: Any) -> bool:
    """Whether parsed JSON is what labelme writes for a frame."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read(files: Iterable[tuple[Path, Any]]) -> Document:
    """Returns the frames of parsed files."""
    drawings, empty = [], 0
    for path, content in files:
        shapes = tuple(_shape(shape, f"shape {index} of labels {path}") for index, shape in enumerate(content["shapes"]))
        if shapes:
            drawings.append(Drawing(_frame(content, path), shapes, _size(content, path)))
        else:
            empty += 1
    remarks = (f"{empty} of its files have no shape and are not labels",) if empty else ()
    return Document("labelme JSON", tuple(drawings), remarks=remarks)


def read_folder(files: list[Path]) -> Document:
    """Returns the frames of the files of labelme among others."""
    parsed = ((path, read_json(path)) for path in files)
    return read((path, content) for path, content in parsed if recognises(content))


def _frame(content: dict[str, Any], path: Path) -> str:
    """Name of the frame: that of the file. labelme gives it the name of the picture, unless one chooses another."""
    picture = content["imagePath"]
    name = PurePosixPath(picture.replace("\\", "/")).name if isinstance(picture, str) else ""
    return name or path.name


def _size(content: dict[str, Any], path: Path) -> Size | None:
    if content.get("imageHeight") is None or content.get("imageWidth") is None:
        return None
    try:
        return int(number(content["imageHeight"])), int(number(content["imageWidth"]))
    except ValueError as error:
        raise ValueError(f"labels {path} have no size of the picture ({error}): {AGAIN}") from error


def _shape(shape: Any, where: str) -> Shape:
    try:
        kind = shape.get("shape_type") or "polygon"
        label, group = shape.get("label"), shape.get("group_id")
        points = points_of(shape.get("points", ()))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{where} cannot be read ({error}): {AGAIN}") from error
    if not isinstance(label, str) or not label:
        raise ValueError(f"{where} has no label: name it in labelme")
    if kind not in LEAST:
        raise ValueError(f"{where} is of kind {kind!r}: draw polygons, rectangles, circles, masks, lines or points")
    if len(points) < LEAST[kind]:
        raise ValueError(f"{where} is a {kind} of {len(points)} points: draw it again")
    try:
        figure = _figure(kind, points, shape)
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where} cannot be read ({error}): {AGAIN}") from error
    return Shape(label, figure, group if isinstance(group, (int, str)) and group != "" else None)


def _figure(kind: str, points: Points, shape: dict[str, Any]) -> Figure:
    if kind in ("polygon", "oriented_rectangle"):
        return Polygons((points,))
    if kind == "rectangle":
        (left, top), (right, bottom) = points.min(0), points.max(0)
        return box(left, top, right, bottom=bottom)
    if kind == "circle":
        radius = math.dist(points[0], points[1])
        return ellipse(points[0, 0], points[0, 1], radius, down=radius)
    if kind == "mask":
        return _mask(points, shape.get("mask"))
    return Strokes(tuple(points[:, None]) if kind in ("point", "points") else (points,))


def _mask(points: Points, text: Any) -> Patch:
    """A mask is a PNG in base64, its first and last pixel are the points."""
    if not isinstance(text, str):
        raise ValueError("it has no mask")
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("its mask is no base64") from error
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        raster = np.asarray(image.convert("L")) > 0 if image.mode != "1" else np.asarray(image)
    left, top = (int(value) for value in points[0])
    return Patch(raster, left, top)
