"""Where objects are in a frame, as COCO writes it: compressed run lengths, box and area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from revseg.labels.formats.rle import compressed, counts_by_columns
from revseg.labels.masks import Labels
from revseg.output.source import Source


@dataclass(frozen=True)
class Region:
    """Where an object is."""

    segmentation: dict[str, object]
    """size: [H, W], and counts."""
    box: list[int]
    """Left, top, width, height."""
    area: int


def region_of(mask: Labels, number: int) -> Region | None:
    """Returns the region of an object; None where it is not to be seen."""
    inside = mask == number
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    top, left = int(rows[0]), int(columns[0])
    box = [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
    counts = compressed(counts_by_columns(inside))
    return Region({"size": list(mask.shape), "counts": counts}, box, int(inside.sum()))


def file_names(source: Source) -> list[str]:
    """Returns what the pictures of frames are called: in a folder of pictures as there, else like the masks."""
    known = {file.stem: file.name for file in source.path.iterdir()} if source.path.is_dir() else {}
    return [known.get(name, f"{name}.png") for name in source.names]
