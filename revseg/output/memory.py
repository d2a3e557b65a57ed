"""Bytes that writing takes, in memory and on disk, told from sizes alone."""

from __future__ import annotations

import os

from revseg.output.preview import HEIGHT, MOST_FRAMES

ENCODER_FRAMES, ENCODER_BYTES = 20, 3.4
"""Frames that x264 holds beside those of its threads, of which it has three for two cores; and bytes of each pixel (measured)."""
DRAWING_BYTES = 24
"""Bytes of each pixel that is drawn on: a frame, the same with masks, and their colours in float64 where there is an object."""
MASK_SHARE, FILM_SHARE = 0.03, 0.12
"""Bytes a pixel of a mask's PNG, and of a frame of the overlay (measured on DAVIS)."""


def writing_bytes(native_size: tuple[int, int], frames: int) -> int:
    """Bytes of the encoder of the overlay, of a frame that is drawn on, and of the preview's pictures, twice."""
    height, width = native_size
    encoder = (ENCODER_FRAMES + 1.5 * (os.cpu_count() or 1)) * ENCODER_BYTES
    shown = min(HEIGHT, height)
    preview = 2 * 3 * min(MOST_FRAMES, frames) * shown * round(width * shown / height)
    return round((encoder + DRAWING_BYTES) * height * width) + preview


def output_disk(native_size: tuple[int, int], frames: int) -> int:
    """Bytes of masks and overlay."""
    return round((MASK_SHARE + FILM_SHARE) * frames * native_size[0] * native_size[1])
