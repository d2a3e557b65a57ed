"""Decodes pictures of several frames in one file that FFmpeg cannot: TIFF stacks of 8 bits and animated WebP."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from revseg.video.frame import Frame, Losses, resized
from revseg.video.pages import PICTURES
from revseg.video.part import Part
from revseg.video.pixels import rgb
from revseg.video.resize import resize_picture

FRAME_RATE = Fraction(25)
"""Rate of a stack that has no times of its own."""


def decode_stack(path: Path, part: Part, *, height: int | None, losses: Losses, threads: int | None) -> Generator[Frame]:
    """Yields the frames in order, all of the size of the first. threads: not used: one file is one stream."""
    step, size = 1 / frame_rate_of(path), None
    with Image.open(path) as image:
        losses.total = getattr(image, "n_frames", 1)
        places = part.positions(path, losses.total, step)
        for index, picture in _pictures(image, path, places=places, losses=losses):
            size = size or picture.shape[:2]
            if picture.shape[:2] != size:
                raise ValueError(f"frame {index} of {path} has another size than those before: give all frames one size")
            new_size = resized(size, height)
            if new_size != size:
                picture = resize_picture(picture, new_size)
            yield Frame(f"{index:05d}", index * step, picture, native_size=size)


def frame_rate_of(path: Path) -> Fraction:
    """Returns frames per second, by the time that the first frame is shown. Raises ValueError for what cannot be read."""
    try:
        with Image.open(path) as image:
            image.load()  # WebP has its times only then
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable picture ({error}): get a whole copy, or convert it with ffmpeg") from error
    if image.mode not in PICTURES:  # deeper TIFF files are volumes (slices.py)
        raise ValueError(f"{path} has pixels of kind {image.mode}: convert it to 8 bits a channel")
    milliseconds = image.info.get("duration")
    return Fraction(1000) / Fraction(milliseconds).limit_denominator(1000) if milliseconds else FRAME_RATE


def _pictures(
    image: Image.Image, path: Path, *, places: Sequence[int], losses: Losses
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yields the place and (H, W, 3) uint8 of frames as long as they can be decoded; what is missing then is the end."""
    place = 0
    try:
        for place in places:
            image.seek(place)
            image.load()
            yield place, np.asarray(rgb(image, path))
    except (OSError, SyntaxError, EOFError) as error:
        losses.cut(f", its frame {place} cannot be decoded ({error})")


def write_array(path: Path, slices: Iterable[NDArray[np.uint8]], count: int) -> None:
    """Writes slices (H, W) as a .npy array (T, H, W), one in memory at a time. path: of any name."""
    with path.open("wb") as file:
        for index, each in enumerate(slices):
            if not index:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *each.shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(each).tobytes())


def write_pages(path: Path, slices: Iterable[NDArray[np.uint8]]) -> None:
    """Writes slices (H, W) as the pages of a TIFF file of 8 bits. path: of any name."""
    first, *others = map(Image.fromarray, slices)
    first.save(path, format="TIFF", save_all=True, append_images=others, compression="tiff_lzw")
