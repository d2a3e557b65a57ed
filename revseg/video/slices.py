"""Volumes on disk, read slice by slice: NumPy arrays, TIFF pages of any depth, and folders of either.

    file.npy            (T, H, W) or (T, H, W, C); other orders by axes, such as "CTHW"
    file.tif            a page for each slice
    folder of .npy      (H, W) or (H, W, C) each
    folder of .tif      one page each

A slice has as many channels as the file. TIFF pages of 8 bits are pictures: RGB, whatever their palette.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from revseg.video.folder import SUFFIXES, in_order
from revseg.video.pages import Pages

ARRAY, TIFF = (".npy",), (".tif", ".tiff")
KINDS = "buif"
"""Kinds of numbers that are read: bool, unsigned, signed, floating point."""

Slice = NDArray[Any]


@dataclass(frozen=True)
class Slices:
    """A volume on disk."""

    path: Path
    names: tuple[str, ...]
    """Names of the T slices: their numbers, or the files' names in a folder."""
    shape: tuple[int, int, int]
    """(H, W, C) of each."""
    dtype: np.dtype[Any]
    read: Callable[[int], Slice]
    """Slice by number, (H, W, C)."""


def format_of(path: Path) -> str | None:
    """Returns "npy" or "tif" for a volume, by its name or by those of the files in a folder; None for a video or pictures."""
    if path.is_dir():
        suffixes = {file.suffix.lower() for file in path.iterdir() if not file.name.startswith(".")}
        found = {kind for kind, own in (("npy", ARRAY), ("tif", TIFF), (None, SUFFIXES)) if suffixes.intersection(own)}
        if len(found) > 1:
            raise ValueError(f"folder {path} holds files of several kinds: give .npy, TIFF, or PNG and JPEG files alone")
        return next(iter(found), None)
    return {".npy": "npy", ".tif": "tif", ".tiff": "tif"}.get(path.suffix.lower())


def frame_files(folder: Path) -> list[Path]:
    """Returns the files of a folder's frames in order, pictures or slices."""
    return in_order(folder, {"npy": ARRAY, "tif": TIFF, None: SUFFIXES}[format_of(folder)])


def open_slices(path: Path, axes: str | None = None, *, labels: bool = False) -> Slices:
    """Opens a volume. labels: TIFF pages are numbers, not pictures. Raises ValueError in one sentence for what is none."""
    if format_of(path) == "npy":
        return _array_files(path, axes) if path.is_dir() else _array(path, axes)
    if axes is not None:
        raise ValueError(f"data.axes={axes} is about the axes of .npy arrays: leave it out for {path}")
    return _pages_in_folder(path) if path.is_dir() else _pages(path, labels)


def _array(path: Path, axes: str | None) -> Slices:
    array = _ordered(_load(path), path, axes=axes, time="T")
    names = tuple(f"{index:05d}" for index in range(len(array)))
    return Slices(path, names, array.shape[1:], dtype=array.dtype, read=lambda index: array[index])


def _array_files(folder: Path, axes: str | None) -> Slices:
    files = in_order(folder, ARRAY)

    def read(index: int) -> Slice:
        return _ordered(_load(files[index]), files[index], axes=axes, time="")

    first = read(0)
    return Slices(folder, _stems(files), first.shape, dtype=first.dtype, read=_alike(read, files, first))


def _load(path: Path) -> Slice:
    if not path.exists():
        raise ValueError(f"volume {path} does not exist: check the path")
    try:
        array: Slice = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TokenError) as error:  # TokenError: a header that is no Python literal
        reason = "holds Python objects" if "Python objects" in str(error) else "is not a whole .npy file"
        raise ValueError(f"volume {path} {reason}: save it again with numpy.save, as an array of numbers") from error
    if array.dtype.kind not in KINDS:
        raise ValueError(f"volume {path} has values of type {array.dtype}: save it as whole or real numbers")
    if not array.size:
        raise ValueError(f"volume {path} of shape {array.shape} is empty: give at least one slice of at least one pixel")
    return array


def _ordered(array: Slice, path: Path, *, axes: str | None, time: str) -> Slice:
    """A view (T, H, W, C), or (H, W, C) where there is no time."""
    usual = f"{time}HW" if array.ndim == len(time) + 2 else f"{time}HWC"
    given = usual if axes is None else axes.upper()
    if sorted(given) not in (sorted(f"{time}HW"), sorted(f"{time}HWC")):
        raise ValueError(f"data.axes is {axes}: give each of {', '.join(f'{time}HW')} once, and C where {path} has channels")
    if len(given) != array.ndim:
        plain = ", ".join(f"{time}HW")
        remedy = f"save it as ({plain}) or ({plain}, C)" if axes is None else f"data.axes={axes} names {len(given)} of them"
        raise ValueError(f"volume {path} has {array.ndim} axes, with shape {array.shape}: {remedy}")
    if "C" not in given:
        array, given = array[..., None], f"{given}C"
    return array.transpose([given.index(name) for name in f"{time}HWC"])


def _pages(path: Path, labels: bool) -> Slices:
    pages = Pages(path)
    read = pages.values if labels else pages.picture
    first, names = read(0), tuple(f"{index:05d}" for index in range(len(pages)))
    return Slices(path, names, first.shape, dtype=first.dtype, read=_alike(read, [path] * len(pages), first))


def _pages_in_folder(folder: Path) -> Slices:
    files = in_order(folder, TIFF)

    def read(index: int) -> Slice:
        pages = Pages(files[index])
        if len(pages) > 1:
            raise ValueError(f"{files[index]} has {len(pages)} pages: in a folder, give a file for each slice")
        return pages.picture(0)

    first = read(0)
    return Slices(folder, _stems(files), first.shape, dtype=first.dtype, read=_alike(read, files, first))


def _alike(read: Callable[[int], Slice], files: list[Path], first: Slice) -> Callable[[int], Slice]:
    """Reads slices that must all have the shape and type of the first."""

    def checked(index: int) -> Slice:
        found = read(index)
        if (found.shape, found.dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"slice {index} of {files[index]} has shape {found.shape} and type {found.dtype}, but the first has "
                f"{first.shape} and {first.dtype}: give all slices one size and type"
            )
        return found

    return checked


def _stems(files: list[Path]) -> tuple[str, ...]:
    return tuple(file.stem for file in files)
