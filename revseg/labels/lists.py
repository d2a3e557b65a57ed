"""Lists of sequences: text files with a name on each line, as they come from any editor."""

from __future__ import annotations

import re
from pathlib import Path

from revseg.runs.names import inside

FRAME = re.compile(r"/?(?:[^/]+/)*?(?P<name>[^/]+)/[^/]+?\.(?:jpe?g|png)(?:\s|$)", re.IGNORECASE)
"""A line of DAVIS-2016 as published: the path of a frame, and that of its mask."""


def read_names(path: Path) -> list[str]:
    """Returns the names of a list, each once. A name may have spaces, but none around it, and no byte-order mark."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"list of sequences {path} is not text in UTF-8: save it as UTF-8, one name on each line") from error
    entries = [line.strip() for line in lines if line.strip()]
    if not entries:
        raise ValueError(f"list of sequences {path} is empty: write one name on each line")
    found = (match["name"] if (match := FRAME.match(entry)) else entry for entry in entries)
    return [inside(name, path) for name in dict.fromkeys(found)]
