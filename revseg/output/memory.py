"""Bytes that writing takes, in memory and on disk, told from sizes alone."""

from __future__ import annotations

import os

from revseg.output.alpha import STRIP
from revseg.output.config import WITH_ALPHA, OutputConfig
from revseg.output.preview import HEIGHT, MOST_FRAMES

FILMS = {"overlay": (20, 3.4), "matte": (20, 3.4), "cutout": (20, 3.4), "prores": (2, 8.0), "webm": (25, 6.0)}
"""Frames that an encoder holds beside those of its threads, of which x264 has three for two cores; and bytes of each pixel of
them (measured of x264; of ProRes and VP9 a margin)."""
DRAWING_BYTES = 24
"""Bytes of each pixel that is drawn on: a frame, the same with masks, and their colours in float64 where there is an object."""
REFINING_BYTES = 240
"""Bytes of each pixel of a strip while alpha is refined: sixty planes in float32."""
WRITERS = 2
"""Threads that refine and write."""
WAITING = 10
"""Frames that are on their way to the files."""
DISK = {
    "masks": 0.03,
    "overlay": 0.12,
    "alpha": 2.5,
    "prores": 2.2,
    "webm": 0.1,
    "matte": 0.03,
    "cutout": 0.12,
    "coco": 0.004,
    "youtube-vis": 0.004,
    "gif": 0.0,
}
"""Bytes of each pixel of a frame (masks and overlay measured on DAVIS, the others a margin)."""


def writing_bytes(native_size: tuple[int, int], frames: int, *, classes: int, config: OutputConfig) -> int:
    """Bytes of the encoders, of frames on their way, of one that is drawn on or refined, and of the preview's pictures, twice."""
    height, width = native_size
    written, parts = config.written, classes if config.each_object else 1
    refining, threads = 0, 1.5 * (os.cpu_count() or 1)
    pixel = sum((FILMS[name][0] + threads) * FILMS[name][1] for name in written if name in FILMS) + DRAWING_BYTES
    if config.needs_probabilities:
        pixel += WAITING * 2 * classes
    if any(name in WITH_ALPHA for name in written):
        pixel += WAITING * 4 * parts
        rows = min(height, STRIP + 4 * round(config.edge_width * height))
        refining = WRITERS * REFINING_BYTES * rows * width
    shown = min(HEIGHT, height)
    preview = 2 * 3 * min(MOST_FRAMES, frames) * shown * round(width * shown / height) if "gif" in written else 0
    return round(pixel * height * width) + refining + preview


def output_disk(native_size: tuple[int, int], frames: int, *, classes: int, config: OutputConfig) -> int:
    """Bytes of all that is written."""
    parts = classes if config.each_object else 1
    pixel = sum(
        2 * classes if name == "probabilities" else DISK[name] * (parts if name in WITH_ALPHA else 1) for name in config.written
    )
    return round(pixel * frames * native_size[0] * native_size[1])
