"""Parsed JSON and XML, as data and nothing else, within limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

import numpy as np

from revseg.labels.formats.document import Points

MOST_BYTES = 1 << 29
"""Most of one text: run lengths and polygons of some thousand frames have far less."""
AGAIN = "export it again from the tool that wrote it"


def first_character(path: Path) -> str:
    """Returns the first character that is no space, by which text of one kind differs from another; "" where there is none."""
    with path.open("rb") as file:
        begin = file.read(1 << 12)
    if begin[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return begin.decode("utf-16", "replace").lstrip()[:1]
    return begin.removeprefix(b"\xef\xbb\xbf").lstrip()[:1].decode("latin-1")


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file of labels."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"labels {path} have more than {MOST_BYTES >> 20} MiB: split them into files of fewer frames")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Returns parsed JSON. Raises ValueError in one sentence for what is none."""
    try:
        return json.loads(read_bytes(path), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"labels {path} are not whole JSON ({_reason(error)}): {AGAIN}") from error


def read_xml(path: Path) -> Element:
    """Returns the root of parsed XML. Raises ValueError in one sentence for what is none."""
    parser = XMLParser(target=_NoDeclarations(path))
    try:
        parser.feed(read_bytes(path))
        root: Element = parser.close()
    except (ParseError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise ValueError(f"labels {path} are not whole XML ({error}): {AGAIN}") from error
    return root


def number(value: Any) -> float:
    """Returns a finite number. Raises ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    try:
        found = float(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{str(value)[:40]!r} is not a number") from error
    if not math.isfinite(found):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return found


def points_of(values: Iterable[Any]) -> Points:
    """Returns (n, 2) from pairs [x, y] or from numbers in turn."""
    flat = [number(each) for value in values for each in (value if isinstance(value, (list, tuple)) else (value,))]
    if not flat or len(flat) % 2:
        raise ValueError(f"{len(flat)} numbers are no points")
    return np.array(flat, float).reshape(-1, 2)


class _NoDeclarations(TreeBuilder):
    """Refuses declarations: entities in them can stand for any amount of text, and for other files."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        """Called at <!DOCTYPE."""
        raise ValueError(f"labels {self.path} declare a document type, which no tool writes into labels: {AGAIN}")


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
