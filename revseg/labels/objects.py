"""Names and colours of objects beside a folder of masks of their ids: the file objects.json, as revseg-label writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from revseg.labels.palette import VOID
from revseg.runs.atomic import replacing

FILE = "objects.json"
LONGEST_NAME = 80


@dataclass(frozen=True)
class Object:
    """What a label stands for."""

    id: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        if not isinstance(self.id, int) or not 1 <= self.id < VOID:
            raise ValueError(f"object {self.id!r}: ids are 1 to 254")
        if not isinstance(self.name, str) or len(self.name) > LONGEST_NAME:
            raise ValueError(f"the name of object {self.id} is no text of at most {LONGEST_NAME} characters")
        hexadecimal = isinstance(self.colour, str) and len(self.colour) == 7 and self.colour[0] == "#"
        if not hexadecimal or any(digit not in "0123456789abcdef" for digit in self.colour[1:].lower()):
            raise ValueError(f"the colour of object {self.id} is not written like #e6194b")


def objects_of(records: Sequence[dict[str, Any]]) -> list[Object]:
    """Returns objects from their fields. Raises ValueError where these are none, or two objects have one id or one name."""
    try:
        found = [Object(**each) for each in records]
    except TypeError as error:
        raise ValueError("an object has an id, a name and a colour") from error
    if len({each.id for each in found}) < len(found):
        raise ValueError("two objects have one id")
    names = [each.name for each in found if each.name]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two objects have the name {twice}: give each its own")
    return found


def read_objects(folder: Path) -> list[Object] | None:
    """Returns the objects of a folder of masks, None where nothing names them. Raises ValueError for a damaged file."""
    path = folder / FILE
    try:
        return objects_of(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is not what revseg-label wrote ({error}): restore it, or remove it") from error


def write_objects(folder: Path, objects: Sequence[Object]) -> None:
    """Writes what ``read_objects`` reads, whole or not at all."""
    with replacing(folder / FILE) as temporary:
        temporary.write_text(json.dumps([asdict(each) for each in objects], indent=2) + "\n", encoding="utf-8")
