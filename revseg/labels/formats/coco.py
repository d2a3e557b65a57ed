"""COCO JSON: images, categories, and annotations with polygons or run lengths, compressed or not.

An image without annotation is not labelled: COCO does not tell "nothing there" from "not looked at". COCO has no order of depth,
so the smaller of two objects lies on top. iscrowd is not heeded: tools set it wherever a mask has run lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from revseg.labels.formats.document import Document, Drawing, Figure, Raster, Shape, Size
from revseg.labels.formats.figures import Patch, Polygons
from revseg.labels.formats.rle import by_columns, uncompressed
from revseg.labels.formats.text import AGAIN, number, points_of

MOST_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A mask that is made when it is asked for."""

    counts: str | tuple[int, ...]
    size: Size
    whole: bool = True

    def pixels(self, size: Size, stroke_width: int) -> Raster:
        """Returns the mask."""
        counts = uncompressed(self.counts) if isinstance(self.counts, str) else self.counts
        return Patch(by_columns(counts, self.size)).pixels(size, stroke_width)


def recognises(content: Any) -> bool:
    """Whether parsed JSON has the lists of COCO."""
    return isinstance(content, dict) and all(isinstance(content.get(name), list) for name in ("images", "annotations"))


def read(content: Any, path: Path) -> Document:
    """Returns the labelled images."""
    names = category_names(content, path)
    images = {_key(image, "id", path): image for image in content["images"]}
    shapes: dict[Any, list[Shape]] = {}
    boxes = 0
    for annotation in content["annotations"]:
        image = _key(annotation, "image_id", path)
        if image not in images:
            raise ValueError(f"labels {path} annotate image {image!r}, which they do not list: {AGAIN}")
        where = f"annotation {annotation.get('id')!r} of labels {path}"
        figure = figure_of(annotation.get("segmentation"), size_of(images[image], where), where)
        if figure is None:
            boxes += 1
            continue
        attributes = annotation.get("attributes")
        track = annotation.get("track_id", attributes.get("track_id") if isinstance(attributes, dict) else None)
        label = label_of(annotation, names, where)
        shapes.setdefault(image, []).append(Shape(label, figure, track if isinstance(track, (int, str)) else None))
    if boxes:
        raise ValueError(f"{boxes} annotations of labels {path} have a box and no outline: export polygons or masks")
    drawings = [
        Drawing(file_name(images[image], path), tuple(found), size_of(images[image], f"image {image!r} of labels {path}"))
        for image, found in shapes.items()
    ]
    empty = len(images) - len(shapes)
    remarks = (f"{empty} of its images have no annotation and are not labels",) if empty else ()
    return Document("COCO JSON", tuple(drawings), tuple(names.values()), smaller_on_top=True, remarks=remarks)


def category_names(content: Mapping[str, Any], path: Path) -> dict[Any, str]:
    """Returns the names of categories by their ids, in the order of the ids."""
    categories = content.get("categories")
    if not isinstance(categories, list):
        raise ValueError(f"labels {path} have no categories: {AGAIN}")
    found = {_key(category, "id", path): str(category.get("name", category["id"])) for category in categories}
    return {key: found[key] for key in sorted(found, key=lambda key: (isinstance(key, str), key))}


def label_of(annotation: Mapping[str, Any], names: Mapping[Any, str], where: str) -> str:
    """Returns the name of the category of an annotation."""
    category = annotation.get("category_id")
    if not isinstance(category, (int, str)) or category not in names:
        raise ValueError(f"{where} is of category {category!r}, which they do not list: {AGAIN}")
    return names[category]


def figure_of(segmentation: Any, size: Size | None, where: str) -> Figure | None:
    """Returns the polygons or the mask; None for what has neither."""
    if not segmentation:
        return None
    try:
        if isinstance(segmentation, list):
            outlines = tuple(points_of(outline) for outline in segmentation)
            if any(len(outline) < 3 for outline in outlines):
                raise ValueError("a polygon has less than three corners")
            return Polygons(outlines, union=True)
        return _run_lengths(segmentation, size)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} cannot be read ({error}): {AGAIN}") from error


def _run_lengths(segmentation: Any, size: Size | None) -> RunLengths:
    given = segmentation.get("size") if isinstance(segmentation, dict) else None
    if not isinstance(given, list) or len(given) != 2 or not all(type(one) is int and one > 0 for one in given):
        raise ValueError("its mask has no size")
    if size is not None and tuple(given) != size:
        raise ValueError(f"its mask is {given[1]} x {given[0]} pixels, but its image is {size[1]} x {size[0]}")
    if given[0] * given[1] > MOST_PIXELS:
        raise ValueError("its mask has more pixels than any camera makes")
    counts = segmentation.get("counts")
    if isinstance(counts, list):
        return RunLengths(tuple(counts), (given[0], given[1]))
    if not isinstance(counts, str):
        raise ValueError("its mask has no counts")
    return RunLengths(counts, (given[0], given[1]))


def size_of(entry: Mapping[str, Any], where: str) -> Size | None:
    """Returns (H, W) of an image or a video; None where it does not say."""
    if entry.get("height") is None or entry.get("width") is None:
        return None
    try:
        return int(number(entry["height"])), int(number(entry["width"]))
    except ValueError as error:
        raise ValueError(f"{where} has no size ({error}): {AGAIN}") from error


def file_name(image: Mapping[str, Any], path: Path) -> str:
    """Returns the file of an image."""
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"labels {path} have an image without file_name: {AGAIN}")
    return name


def _key(entry: Any, name: str, path: Path) -> int | str:
    key = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(key, (int, str)):
        raise ValueError(f"labels {path} have an entry without {name}: {AGAIN}")
    return key
