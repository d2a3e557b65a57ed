"""Large tensors on disk: the memory of a process does not grow with the length of a video.

A tensor of LARGE bytes or more lies in a file without a name, in the folder of the run (``kept_in``), mapped into memory: it is
used like any other, and its space is free once the tensor, or the process, is gone, however that ends. The pages that were looked
at count as memory of the process, so a thread drops them as they become many. They stay in the system's cache as long as there is
room for them there.
"""

from __future__ import annotations

import logging
import math
import mmap
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from revseg.device import free_memory

LARGE = 1 << 27
"""Bytes from which on a tensor lies on disk."""
LARGE_PINNED = 1 << 30
"""The same of one in pinned memory, from which a GPU takes it faster."""
RESIDENT = 1 << 26
"""Bytes of mapped pages that are left alone, beside what came in while the thread slept."""
PAGES = 1 << 27
"""Bytes of all mapped pages that are in memory at a time, about (measured)."""
EVERY = 0.03
"""Seconds that it sleeps."""

STATM = Path("/proc/self/statm")

_folders: list[Path] = []
_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_lock = threading.Lock()
_dropping: threading.Thread | None = None


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Puts large tensors that are made within the block into a folder, or, until it is there, into the one that it will be in."""
    _folders.append(folder)
    try:
        yield
    finally:
        _folders.remove(folder)


def zeros(*shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Returns a tensor of zeros, on disk where it is large."""
    large = on_disk(math.prod(shape) * dtype.itemsize)
    return _mapped(shape, dtype) if large else torch.zeros(shape, dtype=dtype)


def empty(*shape: int, dtype: torch.dtype = torch.uint8, pinned: bool = False) -> Tensor:
    """Returns a tensor of any content, on disk where it is large. pinned: whether a GPU is to take it from memory."""
    large = on_disk(math.prod(shape) * dtype.itemsize, pinned=pinned)
    return _mapped(shape, dtype) if large else torch.empty(shape, dtype=dtype, pin_memory=pinned)


def rows_of(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    """Returns some rows of a tensor: itself where these are all of them, else a copy."""
    if list(rows) == list(range(len(tensor))):
        return tensor
    found = empty(len(rows), *tensor.shape[1:], dtype=tensor.dtype)
    for to, row in enumerate(rows):
        found[to] = tensor[row]
    return found


def on_disk(size: int, *, pinned: bool = False) -> bool:
    """Whether a tensor of so many bytes lies on disk."""
    return size >= (LARGE_PINNED if pinned else LARGE)


def held(size: int, *, pinned: bool = False) -> int:
    """Returns the bytes of memory that a tensor of so many takes."""
    return 0 if on_disk(size, pinned=pinned) else size


def _mapped(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    size = math.prod(shape) * dtype.itemsize
    places = [_nearest(_folders[-1]), None] if _folders else [None]
    errors = []
    for place in places:
        try:
            file = _reserved(place, size)
        except OSError as error:
            errors.append(error)
        else:
            return torch.frombuffer(file, dtype=dtype).view(tuple(shape))
    where, reason = places[0] or tempfile.gettempdir(), errors[0].strerror
    if size > free_memory(torch.device("cpu")):
        raise OSError(
            f"{where} takes no file of {size / 1e9:.2f} GB, which the frames need ({reason}): free some of its disk, choose "
            "another folder with run_dir= or output=, or lower data.height"
        )
    logging.getLogger(__name__).warning(f"{where} takes no file of {size / 1e9:.2f} GB ({reason}): it is held in memory")
    return torch.zeros(tuple(shape), dtype=dtype)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.is_dir())


def _reserved(folder: Path | None, size: int) -> mmap.mmap:
    """A file of zeros. Its space is there: a disk that is full later would end the process as it writes to the memory."""
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.truncate(file.fileno(), size)
        mapped = mmap.mmap(file.fileno(), size)
    with _lock:
        _maps.add(mapped)
    _drop_pages()
    return mapped


def _drop_pages() -> None:
    """Starts the thread where none is at work."""
    global _dropping
    with _lock:
        if STATM.exists() and _dropping is None:
            _dropping = threading.Thread(target=_drop, name="storage", daemon=True)
            _dropping.start()


def _drop() -> None:
    """Drops the pages of all files whenever they have become many; ends with the last file."""
    global _dropping
    left = _shared()
    while True:
        time.sleep(EVERY)
        with _lock:
            if not len(_maps):
                _dropping = None
                return
        if _shared() > left + RESIDENT:
            left = _dropped()


def _dropped() -> int:
    """Drops all pages; returns the bytes that are shared then. It keeps no file: one that nobody needs any more shall go."""
    with _lock:
        maps = list(_maps)
    for each in maps:
        each.madvise(mmap.MADV_DONTNEED)
    return _shared()


def _shared() -> int:
    """Bytes of files, and of memory that is shared, in the memory of this process: libraries too."""
    return int(STATM.read_text().split()[2]) * mmap.PAGESIZE
