"""From the shapes of a document to masks: which number each object gets, and which of several shapes counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from revseg.labels.conventions import Conventions, given_names
from revseg.labels.formats.document import Document, Drawing, Shape, Size
from revseg.labels.palette import VOID

Key = tuple[str, str | int | None]
"""Class and instance; None: all of the class."""

BACKGROUND, UNKNOWN = ("background",), ("void", "ignore")
"""Names of classes that mean no object: without the underscores around them that some tools write."""


@dataclass(frozen=True)
class Numbering:
    """The number of each object."""

    ids: dict[Key, int]
    names: dict[int, str]
    instances: bool
    """Whether objects of one class are told apart."""

    def id_of(self, shape: Shape) -> int:
        """Returns the label of the pixels of a shape."""
        if (special := label_of_name(shape.label)) is not None:
            return special
        return self.ids[shape.label, shape.instance if self.instances else None]


@dataclass
class Overlap:
    """Pixels that lie in several objects."""

    pixels: int = 0
    frames: list[str] = field(default_factory=list)
    nothing: list[str] = field(default_factory=list)
    """Shapes that cover no pixel."""


def label_of_name(name: str) -> int | None:
    """Returns 0 or 255 where a class means background or unknown; None for an object."""
    plain = name.strip("_ ").casefold()
    return 0 if plain in BACKGROUND else VOID if plain in UNKNOWN else None


def number_objects(document: Document, conventions: Conventions, where: str) -> Numbering:
    """Returns the numbers of objects: of classes in the order of the tool, else of the alphabet; of instances after that.

    Where the tool follows objects from frame to frame, each is one of its own; else all of a class are one.
    """
    shapes = [shape for drawing in document.drawings for shape in drawing.shapes if label_of_name(shape.label) is None]
    followed = any(shape.instance is not None for shape in shapes)
    if conventions.objects == "instances" and not followed:
        raise ValueError(f"{where} follow no object from frame to frame: leave out data.objects=instances")
    instances = followed and conventions.objects != "classes"
    used = {(shape.label, shape.instance if instances else None) for shape in shapes}
    declared = [name for name in document.classes if label_of_name(name) is None]
    others = sorted({label for label, _ in used}.difference(declared))
    order = {label: place for place, label in enumerate([*declared, *others])}
    keys: Iterable[Key] = sorted(used, key=lambda key: (order[key[0]], *_instance(key[1])))
    if not instances and len(order) < VOID:
        keys = [(label, None) for label in order]
    several = {label for label, _ in used if sum(other == label for other, _ in used) > 1}
    named = {key: f"{key[0]} {key[1]}" if key[0] in several and key[1] is not None else key[0] for key in keys}
    given = {name: number for number, name in given_names(conventions.names).items()}
    if given:
        lost = next((named[key] for key in named if named[key] not in given and key in used), None)
        if lost is not None:
            raise ValueError(f"{where} show {lost!r}, which data.names lacks: add it, or leave data.names out")
        ids = {key: given[name] for key, name in named.items() if name in given}
    else:
        ids = {key: number for number, key in enumerate(named, 1)}
    if max(ids.values(), default=0) >= VOID:
        raise ValueError(f"{where} show {len(ids)} objects, and 254 are the most: label fewer, or set data.objects=classes")
    return Numbering(ids, {number: named[key] for key, number in ids.items()}, instances)


def _instance(instance: str | int | None) -> tuple[int, str]:
    """Numbers come in their order, also those in text."""
    text = "" if instance is None else str(instance)
    return (int(text), "") if text.isdecimal() else (-1, text)


def paint(
    drawing: Drawing, numbering: Numbering, size: Size, *, document: Document, stroke_width: int, overlap: Overlap
) -> NDArray[np.uint8]:
    """Returns the mask of a frame. Where all shapes are whole objects, the rest is background; beside strokes it is unknown."""
    whole = all(shape.figure.whole for shape in drawing.shapes)
    mask = np.full(size, 0 if whole else VOID, np.uint8)
    parts = [(shape, shape.figure.pixels(size, stroke_width)) for shape in drawing.shapes]
    if document.smaller_on_top:
        parts.sort(key=lambda part: -int(part[1].sum()))
    several = np.zeros(size, bool)
    for shape, pixels in parts:
        number = numbering.id_of(shape)
        if not pixels.any():
            overlap.nothing.append(f"{shape.label} on {drawing.name}")
        several |= pixels & (mask != number) & (mask > 0) & (mask < VOID)
        mask[pixels] = number
    if several.any():
        overlap.pixels += int(several.sum())
        overlap.frames.append(drawing.name)
    return mask
