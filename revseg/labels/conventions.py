"""What the settings say of labels that the labels do not say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OBJECTS = ("classes", "instances")
WIDEST_STROKE = 1000


@dataclass(frozen=True)
class Conventions:
    """How labels are to be read."""

    encoding: str = "davis2017"
    colours: Any = None
    names: Any = None
    objects: str | None = None
    stroke_width: int = 5


def check_conventions(*, names: Any, objects: str | None, stroke_width: int) -> None:
    """Raises ValueError for a setting that means nothing."""
    if objects is not None and objects not in OBJECTS:
        raise ValueError(f"data.objects is {objects}; choose {' or '.join(OBJECTS)}, or null")
    if not 1 <= stroke_width <= WIDEST_STROKE:
        raise ValueError(f"data.stroke_width is {stroke_width}; give 1 to {WIDEST_STROKE} pixels")
    given_names(names)


def given_names(names: Any) -> dict[int, str]:
    """Returns the names of objects by their ids, from a list of names of 1, 2, ... or from ids and names."""
    if names is None:
        return {}
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names, 1) if isinstance(names, (list, tuple)) else None
    found = {key: value for key, value in pairs} if pairs is not None else {}
    good = all(str(key).isdecimal() and 1 <= int(key) <= 254 and isinstance(value, (str, int)) for key, value in found.items())
    if not found or not good:
        raise ValueError(f"data.names is {names}; give [dog,cat] for objects 1 and 2, or {{7: dog}} by ids of 1 to 254")
    texts = {int(key): str(value) for key, value in found.items()}
    if len(set(texts.values())) < len(texts):
        raise ValueError(f"data.names is {names}; give each object a name of its own")
    return texts
