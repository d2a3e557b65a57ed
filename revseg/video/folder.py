"""Decodes a folder of JPEG or PNG images, one per frame."""

import os
from collections import deque
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from revseg.video.frame import Frame, Losses, resized
from revseg.video.names import identity, kind, ordered, tell_once
from revseg.video.part import Part
from revseg.video.pixels import rgb

FRAME_RATE = Fraction(24)
"""Frame rate of folders, which have none of their own: the rate of DAVIS."""
SUFFIXES = (".jpg", ".jpeg", ".png")


def image_files(folder: Path) -> list[Path]:
    """Returns the frames in order (``ordered``). Tells of files that are named like frames and are none."""
    found, others = list[Path](), list[Path]()
    for path in visible(folder):
        (found if path.suffix.lower() in SUFFIXES else others).append(path)
    files = ordered(found)
    if not files:
        told = f"; {sorted(others)[0].name} is neither" if others else ""
        raise ValueError(f"folder {folder} has no frame: put JPEG or PNG images in it, one per frame{told}")
    if not others:
        return files
    like, names = kind(files[0].stem), {identity(path.stem) for path in files}
    numbered = len(like) > 1
    if unused := sorted(p.name for p in others if (kind(p.stem) == like if numbered else identity(p.stem) in names)):
        tell_once(f"{folder}: {some(unused)} not used: frames are JPEG or PNG")
    return files


def in_order(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Returns the files of a folder with these suffixes, in upper or lower case, in the order of their frames."""
    return ordered(path for path in visible(folder) if path.suffix.lower() in suffixes)


def visible(folder: Path) -> list[Path]:
    """Returns the files of a folder that are not hidden, as ``._00000.png`` is; no pipes, which would be waited for.

    A link that leads nowhere counts: it is a file that cannot be read.
    """
    with os.scandir(folder) as entries:  # a film has hundreds of thousands: it says of most what they are without being asked
        return [folder / entry.name for entry in entries if not entry.name.startswith(".") and _is_file(entry)]


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry))


def some(names: list[str]) -> str:
    """Returns the first of many names, with the verb."""
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"{listed} {'is' if len(names) == 1 else 'are'}"


def decode_folder(
    files: Sequence[Path], part: Part, *, height: int | None, losses: Losses, threads: int | None
) -> Generator[Frame]:
    """Yields frames in order, read ahead by a few threads; all must have the size of the first. files: ``image_files``."""
    folder, size = files[0].parent, None
    losses.total = len(files)
    places = part.positions(folder, len(files), 1 / FRAME_RATE)
    threads = threads or min(8, os.cpu_count() or 1)
    ahead = threads + 1  # bounded: frames that nobody has asked for yet take memory
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(_read, files[place], height) for place in places[:ahead])
        for index, place in enumerate(places):
            path, image = files[place], waiting.popleft().result()
            if index + ahead < len(places):
                waiting.append(pool.submit(_read, files[places[index + ahead]], height))
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
            yield Frame(path.stem, time=place / FRAME_RATE, pixels=pixels, native_size=native_size)


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
            whole = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # SyntaxError: a PNG with a broken chunk
        return None
    whole = rgb(whole, path)
    if new_size != native_size:
        shrinks = new_size[0] < native_size[0]
        whole = whole.resize(new_size[::-1], Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    return np.asarray(whole), native_size
