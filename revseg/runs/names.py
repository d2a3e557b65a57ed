"""Names that a file lists: each stands for something in a folder, and never for anything outside of it."""

from __future__ import annotations

from pathlib import Path


def inside(name: str, listed_in: Path) -> str:
    """Returns the name. Raises ValueError where it is a path, which could lead out of the folder it is looked up in."""
    if name in ("", ".", "..") or any(character in name for character in ("/", "\\", "\0")):
        raise ValueError(f"{listed_in} lists {name[:60]!r}, which is a path: write the names of folders alone, one on each line")
    return name
