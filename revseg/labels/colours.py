"""Masks by colour: a table says which colour is which object, or the colours of all masks in a stable order do.

Black and what is transparent are background. Where all colours are of the palette of DAVIS, each is the object that it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from revseg.labels.conventions import Conventions, given_names
from revseg.labels.formats.paint import label_of_name
from revseg.labels.palette import PASCAL_PALETTE, VOID
from revseg.labels.values import COLOURS, PALETTES, open_mask, rgba_of

Colour = int
"""Red, green and blue in one number, 0xRRGGBB."""

HEX = re.compile(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})(?![0-9a-fA-F])")
TRIPLE = re.compile(r"(?<![\w.])(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?![\w.])")
MOST_TABLE = 1 << 20
BLENDS = 2
"""How many colours may not be mixtures of those beside them."""


@dataclass(frozen=True)
class Table:
    """What colours mean."""

    ids: dict[Colour, int]
    names: dict[int, str]
    known: bool
    """Whether other colours than these are wrong; else they were found in the masks."""


def is_coloured(path: Path) -> bool:
    """Whether a mask has colours, in pixels that are no numbers."""
    image = open_mask(path)
    if image.mode not in COLOURS:
        return False
    colours = rgba_of(image)
    return bool(((colours[..., :3] != colours[..., :1]).any(-1) & (colours[..., 3] > 0)).any())


def check_none_of_numbers(files: Iterable[Path]) -> None:
    """Raises ValueError where a mask is of numbers while others are of colours: what a number means there nobody knows.

    A grey mask that is black, or black and white, may be one of colours.
    """
    for path in files:
        image = open_mask(path)
        if image.mode in (*COLOURS, *PALETTES):
            continue
        if any(0 < value < 255 for value in np.unique(np.asarray(image)).tolist()):
            raise ValueError(f"mask {path} is of object ids, but others in its folder are of colours: save all of them alike")


def check_palettes(files: Iterable[Path]) -> None:
    """Raises ValueError where a number has one colour in one palette and another in the next: then it is no object's."""
    seen: dict[int, tuple[bytes, Path]] = {}
    for path in files:
        image = open_mask(path)
        if image.mode != "P":
            continue
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        for _, number in image.getcolors(256) or []:
            if isinstance(number, int) and number < len(palette):
                colour = palette[number].tobytes()
                before, other = seen.setdefault(number, (colour, path))
                if before != colour:
                    raise ValueError(
                        f"mask {path} has the number {number} in another colour than {other}: set data.colours, to read masks by "
                        "their colours, or save them as grey PNG of object ids"
                    )


def table_of(conventions: Conventions) -> Table | None:
    """Returns the table that the settings give; None without one."""
    if conventions.colours is None:
        return None
    ids, names = dict[Colour, int](), dict[int, str]()
    for name, colour in _entries(conventions.colours):
        special = None if name is None else label_of_name(name)
        if colour in ids or (name is not None and special is None and name in names.values()):
            raise ValueError(f"data.colours has {_text(colour)} or its name {name!r} twice: list each once")
        number = special if special is not None else 1 + len(names)
        if name is None and colour == 0:
            number = 0
        ids[colour] = number
        if 0 < number < VOID:
            names[number] = name or _text(colour)
    if len(names) >= VOID:
        raise ValueError(f"data.colours lists {len(names)} objects, and 254 are the most")
    ids.setdefault(0, 0)
    return _renamed(Table(ids, names, known=True), conventions)


def table_found(files: Iterable[Path], conventions: Conventions) -> Table:
    """Returns a table of the colours that masks have, each of which is an object."""
    found = set[Colour]()
    for path in files:
        found |= set(np.unique(_colours(path)).tolist())
        if len(found) > VOID:
            raise ValueError(f"{path.parent} has masks of more than 254 colours: draw each object in one colour")
    palette = {_number(colour): index for index, colour in reversed(list(enumerate(PASCAL_PALETTE.tolist())))}
    found.discard(0)
    if found <= palette.keys():
        return _renamed(Table({0: 0} | {colour: palette[colour] for colour in sorted(found)}, {}, known=False), conventions)
    ids = {colour: number for number, colour in enumerate(sorted(found), 1)}
    names = {} if conventions.names else {number: _text(colour) for colour, number in ids.items()}
    return _renamed(Table({0: 0} | ids, names, known=False), conventions)


def read_coloured(path: Path, table: Table) -> NDArray[np.uint8]:
    """Returns the labels (H, W) of a mask."""
    colours = _colours(path)
    present, where = np.unique(colours, return_inverse=True)
    lost = next((colour for colour in present.tolist() if colour not in table.ids), None)
    if lost is not None:
        raise ValueError(f"mask {path} has the colour {_text(lost)}, which data.colours lacks: add it, or correct the mask")
    return np.array([table.ids[colour] for colour in present.tolist()], np.uint8)[where].reshape(colours.shape)


def _colours(path: Path) -> NDArray[np.int32]:
    """(H, W), 0 where a mask is transparent. Raises ValueError where edges are soft."""
    pixels = rgba_of(open_mask(path))
    opacity = np.unique(pixels[..., 3][pixels[..., 3] > 0])
    if len(opacity) > 1:
        raise ValueError(_soft(path, f"opacities such as {opacity[0]} and {opacity[1]}"))
    pixels = np.where(pixels[..., 3:] > 0, pixels[..., :3], 0).astype(np.int32)
    packed = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    if len(blends := _blends(pixels, packed)) >= BLENDS:
        raise ValueError(_soft(path, f"colours such as {_text(blends[0])} between two others"))
    return packed


def _blends(pixels: NDArray[Any], packed: NDArray[np.int32]) -> list[Colour]:
    """Colours that lie, nearly wherever they are, between those of both neighbours in several directions: mixtures of them."""
    height, width = packed.shape
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    directions = np.zeros(packed.shape, np.uint8)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before, after = (
            padded[1 + sign * down : 1 + sign * down + height, 1 + sign * right : 1 + sign * right + width] for sign in (-1, 1)
        )
        low, high = np.minimum(before, after), np.maximum(before, after)
        strictly = ((low < pixels) & (pixels < high)).any(-1)
        directions += ((low <= pixels) & (pixels <= high)).all(-1) & strictly
    found, where, counts = np.unique(packed, return_inverse=True, return_counts=True)
    mixed = np.bincount(where.ravel(), weights=(directions >= 2).ravel(), minlength=len(found))
    return [int(colour) for colour in found[2 * mixed > counts]]


def _soft(path: Path, what: str) -> str:
    return (
        f"mask {path} has soft edges, with {what}, as smooth brushes, resizing and JPEG make them: draw without smoothing, and "
        "save it as PNG"
    )


def _renamed(table: Table, conventions: Conventions) -> Table:
    """With the names of data.names; where the table has names of its own, data.names numbers them."""
    given = given_names(conventions.names)
    if not given:
        return table
    if not table.known:
        return Table(table.ids, given, table.known)
    number_of = {name: number for number, name in given.items()}
    lost = next((name for name in table.names.values() if name not in number_of), None)
    if lost is not None:
        raise ValueError(f"data.colours names {lost!r}, which data.names lacks: name the same objects in both")
    ids = {colour: number_of[table.names[number]] if number in table.names else number for colour, number in table.ids.items()}
    return Table(ids, {number_of[name]: name for name in table.names.values()}, table.known)


def _entries(colours: Any) -> list[tuple[str | None, Colour]]:
    """Names and colours of a table: a file, text, a list, or a mapping."""
    if isinstance(colours, Mapping):
        return [(str(name), _colour_of(value)) for name, value in colours.items()]
    if isinstance(colours, (list, tuple)):
        return [_line(value) if isinstance(value, str) else (None, _colour_of(value)) for value in colours]
    text = str(colours)
    path = Path(text)
    if "\n" not in text and len(text) < 1000 and path.is_file():
        if path.stat().st_size > MOST_TABLE:
            raise ValueError(f"{path} is too large for a table of colours: write lines such as dog #ff0000")
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        parts = [line for line in lines if line.strip() and not line.lstrip().startswith(("# ", "//", ";"))]
    else:
        parts = re.split(r"[;\n]|,(?=[^,]*#)" if "#" in text else r"[;\n]", text)
    return [_line(part) for part in parts if part.strip()]


def _line(text: str) -> tuple[str | None, Colour]:
    """A name, which may be left out, and a colour: "dog #ff0000", "dog:255,0,0::" as CVAT has it, "255 0 0 dog" as CamVid."""
    match = HEX.search(text)
    if match is not None:
        colour = _number(ImageColor.getrgb(match[0])[:3])
    elif (match := TRIPLE.search(text)) is not None and all(int(part) < 256 for part in match.groups()):
        colour = _number([int(part) for part in match.groups()])
    else:
        raise ValueError(f"data.colours has {text.strip()[:60]!r}, no colour: give a file or text of lines such as dog #ff0000")
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    name = rest.strip(" \t:,=;'\"\r")
    if match.re is TRIPLE and re.search(r"(?:^|\s)\d+(?:\s|$)", name):
        raise ValueError(f"data.colours has {text.strip()[:60]!r}, with too many numbers: write lines such as dog #ff0000")
    return name or None, colour


def _colour_of(value: Any) -> Colour:
    if isinstance(value, str):
        return _line(value)[1]
    if isinstance(value, (list, tuple)) and len(value) == 3 and all(type(part) is int and 0 <= part < 256 for part in value):
        return _number(value)
    raise ValueError(f"data.colours has {value!r}, no colour: give #ff0000 or [255,0,0]")


def _number(colour: Iterable[int]) -> Colour:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _text(colour: Colour) -> str:
    return f"#{colour:06x}"
