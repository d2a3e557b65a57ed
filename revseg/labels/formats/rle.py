"""Run lengths, as COCO and CVAT write masks: how many pixels are out, then in, then out, and so on.

The counts are checked before a mask is made of them: a few bytes may promise any number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from revseg.labels.formats.document import Raster, Size

MOST_COUNTS = 20_000_000


def by_columns(counts: Sequence[int], size: Size) -> Raster:
    """Returns the mask of COCO's counts, which run down the columns. Raises ValueError where they are not those of its size."""
    return _pixels(counts, size[0] * size[1]).reshape(size[::-1]).T


def by_rows(counts: Sequence[int], size: Size) -> Raster:
    """Returns the mask of CVAT's counts, which run along the rows."""
    return _pixels(counts, size[0] * size[1]).reshape(size)


def uncompressed(text: str) -> list[int]:
    """Returns the counts of COCO's compressed string: 5 bits a character, from the lowest, each number the difference to the one
    before the last."""
    counts: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("its run lengths are no string of COCO")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
        if len(counts) > MOST_COUNTS:
            raise ValueError("it has too many run lengths")
    if shift:
        raise ValueError("its run lengths are cut off")
    return counts


def counts_by_columns(mask: Raster) -> list[int]:
    """Returns COCO's counts of a mask."""
    flat = np.asarray(mask, bool).T.ravel()
    changes = 1 + np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.concatenate([[0], changes, [flat.size]]) if not flat[0] else np.concatenate([[0, 0], changes, [flat.size]])
    return np.diff(ends).tolist()


def compressed(counts: Sequence[int]) -> str:
    """Returns COCO's compressed string of counts: what ``uncompressed`` reads."""
    text = bytearray()
    for index, count in enumerate(counts):
        number = count - (counts[index - 2] if index > 2 else 0)
        while True:
            bits, number = number & 31, number >> 5
            last = number == (-1 if bits & 16 else 0)
            text.append(48 + (bits if last else bits | 32))
            if last:
                break
    return text.decode("ascii")


def _pixels(counts: Sequence[int], total: int) -> NDArray[np.bool_]:
    if len(counts) > MOST_COUNTS:
        raise ValueError("it has too many run lengths")
    lengths = np.array(counts, np.int64) if all(type(one) is int and 0 <= one <= total for one in counts) else None
    if lengths is None or int(lengths.sum()) != total:
        raise ValueError(f"its run lengths are not those of {total} pixels")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
