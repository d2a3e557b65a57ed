"""From every kind of pixels that Pillow knows to RGB of 8 bits: scaled, never cut; what is transparent is black."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from revseg.video.names import tell_once

BYTES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
"""Kinds of 8 bits or fewer a channel."""
DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Kinds of whole numbers of more bits. Pillow calls some files of 16 bits I."""
DARK = 4096
"""16 bits whose values all lie below, as those of a camera of 12 bits do, make pictures that are nearly black."""


def rgb(image: Image.Image, path: Path) -> Image.Image:
    """Returns a picture in RGB. Raises ValueError in one sentence for pixels that have no one meaning. path: said in it."""
    if image.mode in DEEP:
        return _of_16_bits(image, path)
    if image.mode not in BYTES:
        raise ValueError(f"{path} has pixels of kind {image.mode}: save it as RGB or grey, of 8 or 16 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), seen).convert("RGB")


def _of_16_bits(image: Image.Image, path: Path) -> Image.Image:
    """0 to 65535 become 0 to 255, in every frame alike: a scale of each frame's own would flicker."""
    values = np.asarray(image).astype(np.int64)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ValueError(f"{path} has values from {values.min()} to {values.max()}: save it as RGB or grey, of 8 or 16 bits")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values[values == clear] = 0
    if 0 < values.max(initial=0) < DARK:
        tell_once(
            f"{path.parent} has frames of 16 bits that have no value above {DARK} of 65535 and are nearly black: save them with "
            "their whole range, or as TIFF, which is scaled by its values"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
