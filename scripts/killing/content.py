"""What two runs have in common that end in the same way: weights, optimizer, masks and measures, bit for bit."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

MEASURES = ("J", "F", "JF", "objects", "labelled", "expected_J", "label_next", "steps", "inverted_exactly")


def content_of(folder: Path) -> dict[str, str]:
    """Returns the digest of every part of what a training and a prediction have left in a folder."""
    run, found = folder / "run", {}
    with zipfile.ZipFile(run / "checkpoints" / "last.pt") as archive:
        for name in sorted(archive.namelist()):
            if "/data/" in name:  # the numbers of all tensors; the rest has the seconds
                found[f"checkpoint {name.partition('/')[2]}"] = _digest(archive.read(name))
    for path in sorted([*run.glob("predictions/**/*.png"), *(folder / "out").glob("**/*.png")]):
        found[path.relative_to(folder).as_posix()] = _digest(path.read_bytes())
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return found | {name: json.dumps(metrics.get(name)) for name in MEASURES}


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Returns the parts that differ, or that only one of them has."""
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def half_written(folder: Path) -> list[str]:
    """Returns files that a killed process has left, and that nobody has removed since."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(".*.partial"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
