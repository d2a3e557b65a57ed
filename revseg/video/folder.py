"""Decodes a folder of JPEG or PNG images, one per frame."""

import os
from collections import deque
from collections.abc import Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from revseg.video.frame import Frame, Losses, resized

FRAME_RATE = Fraction(24)
"""Frame rate of folders, which have none of their own: the rate of DAVIS."""
SUFFIXES = (".jpg", ".jpeg", ".png")


def image_files(folder: Path) -> list[Path]:
    """Returns the frames in order: by number where the names are numbers, else by name."""
    files = in_order(folder, SUFFIXES)
    if not files:
        raise ValueError(f"folder {folder} has no frame: put JPEG or PNG images in it, one per frame")
    return files


def in_order(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Returns the files of a folder with these suffixes: by number where the names are numbers, else by name."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    files = [path for path in visible if path.suffix.lower() in suffixes]
    numbered = all(path.stem.isdecimal() for path in files)
    files.sort(key=lambda path: (int(path.stem), path.name) if numbered else (0, path.name))
    for one, other in zip(files, files[1:], strict=False):
        if one.stem == other.stem:
            raise ValueError(f"{one} and {other.name} are the same frame twice: remove one of them")
    return files


def decode_folder(folder: Path, height: int | None, losses: Losses, threads: int | None) -> Generator[Frame]:
    """Yields frames in order, read ahead by a few threads; all must have the size of the first."""
    files, size = image_files(folder), None
    threads = threads or min(8, os.cpu_count() or 1)
    ahead = threads + 1  # bounded: frames that nobody has asked for yet take memory
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(_read, path, height) for path in files[:ahead])
        for index, path in enumerate(files):
            image = waiting.popleft().result()
            if index + ahead < len(files):
                waiting.append(pool.submit(_read, files[index + ahead], height))
            if image is None:
                losses.add(path.stem)
                continue
            pixels, native_size = image
            size = size or native_size
            if native_size != size:
                raise ValueError(
                    f"frame {path} is {native_size[1]} x {native_size[0]} pixels, but those before it are "
                    f"{size[1]} x {size[0]}: give all frames of a folder one size"
                )
            yield Frame(path.stem, time=index / FRAME_RATE, pixels=pixels, native_size=native_size)


def _read(path: Path, height: int | None) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """Returns pixels and native size, None if the image is broken."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) > 4  # orientation: 5 to 8 swap the axes
            native_size = image.size if turned else image.size[::-1]
            new_size = resized(native_size, height)
            # JPEG can be decoded at a half, a quarter, ... of its size, without loss where pixels are averaged after that.
            twice = 2 * new_size[0], 2 * new_size[1]
            image.draft("RGB", twice if turned else twice[::-1])
            whole = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: a PNG with a broken chunk
        return None
    if new_size != native_size:
        shrinks = new_size[0] < native_size[0]
        whole = whole.resize(new_size[::-1], Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    return np.asarray(whole), native_size
