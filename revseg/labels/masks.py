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
from revseg.labels.values import PALETTES, Values, brightness_of, is_soft, numbers_of, open_mask
from revseg.runs.atomic import replacing, writing

Labels = NDArray[np.uint8]

ENCODINGS = ("davis2016", "davis2017")


def read_mask(path: str | Path, encoding: str, *, ids: bool = False) -> Labels:
    """Labels (H, W) of a mask image. Raises ValueError if the image contradicts its encoding.

    ids: whether other masks show that values are object ids: 0 and 255 alone are then background and void.
    """
    check_encoding(encoding)
    image = open_mask(path)
    return _binary(image, path) if encoding == "davis2016" else _object_ids(image, path, ids)


def check_encoding(encoding: str) -> None:
    if encoding not in ENCODINGS:
        raise ValueError(f"mask encoding is {encoding!r}: choose one of {', '.join(ENCODINGS)}")


def _binary(image: Image.Image, path: str | Path) -> Labels:
    # Some published DAVIS-2016 masks are RGB(A) with equal channels; in a palette image the colours count.
    values = brightness_of(image, path)
    white = 65535 if values.max(initial=0) > 255 else 255
    others = values[(values != 0) & (values != white)]
    if others.size:
        if is_soft(values) or ((values == white).any() and (others >= 128).any()):
            raise ValueError(_soft(others[0], path))
        raise ValueError(
            f"mask {path} holds the value {others[0]}, but encoding davis2016 has only 0 and 255: set the "
            "encoding to davis2017 if its values are object ids"
        )
    return (values == white).astype(np.uint8)


def _object_ids(image: Image.Image, path: str | Path, ids: bool) -> Labels:
    labels = numbers_of(image, path)
    if image.mode in PALETTES:
        _check_background(labels, _palette(image), path)
    grey = image.mode not in PALETTES or _white(image) == VOID
    white = 65535 if labels.max(initial=0) > VOID else VOID
    if grey and not (ids and white == VOID) and (labels == white).any() and np.isin(labels, (0, white)).all():
        raise ValueError(
            f"mask {path} holds only 0 and {white}, which is void in encoding davis2017: set the encoding to "
            f"davis2016 if {white} marks the object"
        )
    if grey and is_soft(labels):
        raise ValueError(_soft(labels[(labels > 0) & (labels < VOID)][0], path))
    if labels.max(initial=0) > VOID or labels.min(initial=0) < 0:
        raise ValueError(
            f"mask {path} holds the value {labels.max()}, but object ids are 1 to 254 and 255 is void: number the objects from 1 "
            "on, and save it as an 8-bit palette or grey PNG"
        )
    return labels.astype(np.uint8)


def _check_background(labels: Values, palette: Labels, path: str | Path) -> None:
    """A tool that makes the palette itself may number white or an object 0, and the black background 1."""
    used = np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[: len(palette)])
    black = [number for number in used.tolist() if number and not palette[number].any()]
    if black and used[0] == 0 and palette[0].any():
        raise ValueError(
            f"mask {path} has the number {black[0]} where it is black, and 0 where it is {tuple(palette[0].tolist())}, "
            "but 0 is the background: save it as a grey PNG of ids, or set the encoding to davis2016 if it is black and white"
        )


def _soft(value: int, path: str | Path) -> str:
    return (
        f"mask {path} has soft edges, with values such as {value} between 0 and 255, as smooth brushes, resizing and JPEG make "
        "them: set all values from 128 on to 255 and the others to 0, save it as PNG, and use encoding davis2016"
    )


def _white(image: Image.Image) -> int | None:
    """Index of white in a palette: a grey image saved as a palette image has it at 255."""
    (white,) = np.nonzero((_palette(image) == 255).all(axis=1))
    return int(white[-1]) if white.size else None


def _palette(image: Image.Image) -> Labels:
    return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def write_mask(path: str | Path, mask: Labels, *, aside: bool = False) -> None:
    """Labels (H, W) as an 8-bit palette PNG in DAVIS colours; a failed write leaves no file.

    aside: its folder is made aside, and put on the disk as a whole (``sync_files``): what fails there may stay.
    """
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.uint8))
    image.putpalette(PASCAL_PALETTE.tobytes())
    with writing(Path(path)) if aside else replacing(path) as place:
        image.save(place, format="PNG", bits=8)


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
