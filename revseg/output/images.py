"""Folders of pictures, one of each frame and named like it; any thread may write any of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from revseg.labels.masks import write_mask
from revseg.output.frame import OutputFrame, Write
from revseg.runs.atomic import make_folder, writing

COMPRESSION = 3
"""zlib's level for pictures with alpha: its usual 6 takes twice the time for a few percent (measured on DAVIS)."""


@contextmanager
def masks(folder: Path) -> Iterator[Write]:
    """Writes masks as palette PNG."""
    make_folder(folder)
    yield lambda frame: write_mask(mask_file(folder, frame.name), frame.mask, aside=True)


def mask_file(folder: Path, name: str) -> Path:
    """Returns the file of the mask of a frame."""
    return folder / f"{name}.png"


@contextmanager
def alpha_images(folder: Path, part: int | None) -> Iterator[Write]:
    """Writes pictures with alpha as PNG."""
    make_folder(folder)

    def write(frame: OutputFrame) -> None:
        path, image = folder / f"{frame.name}.png", Image.fromarray(frame.with_alpha(part))
        with writing(path):
            image.save(path, format="PNG", compress_level=COMPRESSION)

    yield write
