"""Mask images <-> labels, in the two encodings of DAVIS.

    davis2016   grey image, 0 background and 255 object       labels 0, 1
    davis2017   palette (or grey) image, value = object id    labels 0, 1, 2, ... and 255 void

A data set states which it uses: 255 is the object in one and void in the other, so no guessing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from revseg.labels.palette import PASCAL_PALETTE, VOID
from revseg.runs.atomic import replacing

Labels = NDArray[np.uint8]

ENCODINGS = ("davis2016", "davis2017")


def read_mask(path: str | Path, encoding: str, *, ids: bool = False) -> Labels:
    """Labels (H, W) of a mask image. Raises ValueError if the image contradicts its encoding.

    ids: whether other masks show that values are object ids: 0 and 255 alone are then background and void.
    """
    check_encoding(encoding)
    try:
        with Image.open(path) as image:
            image.load()
    except FileNotFoundError as error:
        raise ValueError(f"mask {path} does not exist: add it") from error
    except (
        OSError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:  # SyntaxError: a PNG with a broken chunk
        raise ValueError(f"mask {path} is not a readable image ({error}): save it again as an 8-bit PNG") from error
    return _binary(image, path) if encoding == "davis2016" else _object_ids(image, path, ids)


def check_encoding(encoding: str) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"mask encoding is {encoding!r}: choose one of {', '.join(ENCODINGS)}")


def _binary(image: Image.Image, path: str | Path) -> Labels:
    # Some published DAVIS-2016 masks are RGB(A) with equal channels; in a palette image the colours count.
    grey = np.asarray(image.convert("L"))
    others = grey[(grey != 0) & (grey != 255)]
    if others.size:
        raise ValueError(
            f"mask {path} holds the value {others[0]}, but encoding davis2016 has only 0 and 255: set the "
            "encoding to davis2017 if its values are object ids"
        )
    return (grey == 255).astype(np.uint8)


def _object_ids(image: Image.Image, path: str | Path, ids: bool) -> Labels:
    if image.mode not in ("P", "L", "1"):
        raise ValueError(
            f"mask {path} is a {image.mode} image, but encoding davis2017 needs object ids: save it as an "
            "8-bit palette or grey PNG"
        )
    binary = image.mode != "P" or _white(image) == VOID
    labels = np.array(image.convert("L") if image.mode == "1" else image)
    if not ids and binary and (labels == VOID).any() and np.isin(labels, (0, VOID)).all():
        raise ValueError(
            f"mask {path} holds only 0 and 255, which is void in encoding davis2017: set the encoding to "
            "davis2016 if 255 marks the object"
        )
    return labels


def _white(image: Image.Image) -> int | None:
    """Index of white in a palette: a grey image saved as a palette image has it at 255."""
    palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
    (white,) = np.nonzero((palette == 255).all(axis=1))
    return int(white[-1]) if white.size else None


def write_mask(path: str | Path, mask: Labels) -> None:
    """Labels (H, W) as an 8-bit palette PNG in DAVIS colours; a failed write leaves no file."""
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.uint8))
    image.putpalette(PASCAL_PALETTE.tobytes())
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", bits=8)


def resize_mask(mask: Labels, height: int, width: int) -> Labels:
    """Nearest label at the pixel centres of a (height, width) image."""
    rows, columns = nearest(mask.shape, (height, width))
    return mask[rows[:, None], columns]


def nearest(native: tuple[int, ...], size: tuple[int, int]) -> list[NDArray[np.int64]]:
    """Rows and columns of an image of a size (H, W) that are nearest to those of another size."""
    return [(2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(native, size, strict=True)]


def resize_sparse(mask: Labels, height: int, width: int) -> Labels:
    """The nearest label, but void only where no pixel of the area has a label: a point that is labelled is not lost."""
    result = resize_mask(mask, height, width)
    rows, columns = np.nonzero(mask != VOID)
    at = rows * height // mask.shape[0], columns * width // mask.shape[1]
    missing = result[at] == VOID
    result[at[0][missing], at[1][missing]] = mask[rows[missing], columns[missing]]
    return result
