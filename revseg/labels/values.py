"""The values of a mask image, whatever kind of pixels it has: nothing cut, nothing scaled, transparent pixels 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[np.int32]

NUMBERS = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Kinds of pixels that are one number each."""
COLOURS = ("LA", "La", "RGB", "RGBA", "RGBa", "RGBX")
PALETTES = ("P", "PA")
LEAST_STEP = 32
"""Soft edges have values from here on; few videos have so many objects."""
LEAST_SHARE = 0.12
"""Share of soft pixels among those that are neither 0 nor 255. JPEG of good quality has 0.15 and more; 3000 small objects on
24,000 pixels have 0.10."""


def open_mask(path: str | Path) -> Image.Image:
    """Returns a mask image, decoded. Raises ValueError in one sentence for what is none."""
    try:
        with Image.open(path) as image:
            pages, deep = getattr(image, "n_frames", 1), _is_deep(image)
            image.load()
    except FileNotFoundError as error:
        raise ValueError(f"mask {path} does not exist: add it") from error
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:  # SyntaxError: a PNG with a broken chunk
        raise ValueError(f"mask {path} is not a readable image ({error}): save it again as an 8-bit PNG") from error
    if pages > 1:
        raise ValueError(f"mask {path} has {pages} pages: save one mask for each frame, as an 8-bit PNG")
    if image.mode not in (*NUMBERS, *COLOURS, *PALETTES) or deep:  # Pillow would cut each channel to 8 bits
        kind = f"{image.mode} of 16 bits a channel" if deep else image.mode
        raise ValueError(f"mask {path} has pixels of kind {kind}: save it as an 8-bit palette or grey PNG")
    return image


def numbers_of(image: Image.Image, path: str | Path) -> Values:
    """Returns (H, W): the number of each pixel of a grey or palette image, or of one whose channels are equal."""
    if image.mode not in PALETTES:
        return brightness_of(image, path)
    values = np.array(image.getchannel(0) if image.mode == "PA" else image).astype(np.int32)
    return np.where(_opacity(image) > 0, values, 0) if image.has_transparency_data else values


def brightness_of(image: Image.Image, path: str | Path) -> Values:
    """Returns (H, W): the grey value of each pixel; in a palette image the colours count, half transparent is half as bright."""
    if image.mode in NUMBERS:
        values = np.array(image.convert("L") if image.mode == "1" else image).astype(np.int32)
        clear = image.info.get("transparency")
        return np.where(values == clear, 0, values) if isinstance(clear, int) else values
    colours, opacity = np.array(_rgba(image).convert("RGB")), _opacity(image)
    unequal = (colours != colours[..., :1]).any(-1) & (opacity > 0)
    if unequal.any():
        raise ValueError(f"mask {path} {_coloured(image, unequal, colours)}")
    values = (colours[..., 0] * opacity + 127) // 255
    if not values.any() and (opacity == 0).any() and (opacity > 0).any():
        raise ValueError(f"mask {path} shows black on a transparent ground: save it as a grey PNG, with 0 for the background")
    return values


def _coloured(image: Image.Image, unequal: NDArray[np.bool_], colours: NDArray[np.uint8]) -> str:
    """What to say of a mask whose pixels are neither numbers nor grey."""
    if image.mode in PALETTES:
        number = np.array(image.getchannel(0) if image.mode == "PA" else image)[unequal][0]
        return (
            f"holds the value {number}, but encoding davis2016 has only 0 and 255: set the encoding to davis2017 if its values "
            "are object ids"
        )
    return (
        f"has colours, such as {tuple(colours[unequal][0].tolist())}: save it as an 8-bit palette or grey PNG whose values are "
        "object ids 0, 1, 2, ... (encoding davis2017), or 0 and 255 (davis2016)"
    )


def is_soft(values: NDArray[np.integer[Any]]) -> bool:
    """Whether values are those of an object whose edges are soft, or that went through JPEG, and not object ids.

    On a soft edge a pixel lies between its two neighbours in most directions. Among ids, which fill areas, few pixels do.
    """
    if values.max(initial=0) > 255 or values.min(initial=0) < 0:
        return False
    counts = np.bincount(values.ravel(), minlength=256)
    if not counts[LEAST_STEP:255].any():
        return False
    grey, padded = values.astype(np.int16), np.pad(values, 1, mode="edge").astype(np.int16)
    height, width = values.shape
    directions = np.zeros(values.shape, np.uint8)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before, after = (
            padded[1 + sign * down : 1 + sign * down + height, 1 + sign * right : 1 + sign * right + width] for sign in (-1, 1)
        )
        directions += ((before < grey) & (grey < after)) | ((before > grey) & (grey > after))
    steps = (directions >= 2) & (grey > 0) & (grey < 255)
    return bool(np.count_nonzero(steps) > LEAST_SHARE * counts[1:255].sum())


def rgba_of(image: Image.Image) -> NDArray[np.uint8]:
    """Returns (H, W, 4): the colour and the opacity of each pixel, of a palette image too."""
    return np.array(_rgba(image))


def _rgba(image: Image.Image) -> Image.Image:
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")


def _opacity(image: Image.Image) -> Values:
    """(H, W), 0 transparent to 255."""
    return np.array(_rgba(image).getchannel("A")).astype(np.int32)


def _is_deep(image: Image.Image) -> bool:
    """Whether a file has 16 bits in each of several channels."""
    bits = getattr(image, "tag_v2", {}).get(258, ())
    tiles = getattr(image, "tile", None) if image.format == "PNG" else None
    raw = str(tiles[0][3]) if tiles else ""
    return image.mode in COLOURS and (";16" in raw or max(bits, default=8) > 8)
