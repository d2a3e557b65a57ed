"""What was computed once, kept on disk by the content of what it comes from.

The name of a file holds a digest of all that its array depends on, so that nothing is ever out of date: what changes gets another
name. Files appear whole or not at all (``replacing``), whenever a process ends, and zip's checksums tell a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import zipfile
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.runs.atomic import replacing

CHUNK = 1 << 20
"""Bytes that are read at a time."""


def digest(*parts: object) -> str:
    """Returns the hexadecimal key of tensors, arrays, settings, numbers, strings, and sequences of them."""
    found = hashlib.blake2b(digest_size=16)
    for piece in _pieces(parts):
        found.update(piece)
    return found.hexdigest()


def _pieces(part: object) -> Iterable[bytes | memoryview]:
    if isinstance(part, Tensor):
        part = part.numpy()
    if isinstance(part, np.ndarray):
        array = np.ascontiguousarray(part)
        yield f"<{array.dtype.str}{array.shape}>".encode()
        yield array.reshape(-1).view(np.uint8).data
    elif is_dataclass(part) and not isinstance(part, type):
        yield f"<{type(part).__name__}>".encode()
        yield from _pieces([(entry.name, getattr(part, entry.name)) for entry in fields(part)])
    elif isinstance(part, list | tuple):
        yield f"<{len(part)}>".encode()
        for entry in part:
            yield from _pieces(entry)
    else:
        yield f"<{type(part).__name__} {json.dumps(part)}>".encode()


def _write(path: Path, name: str, array: NDArray) -> None:
    """Writes it as it is: a fifth of what flow takes beside it. To compress it to a third was a twelfth of a run's work."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file, file.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, array, allow_pickle=False)


def _read(path: Path, name: str) -> NDArray[np.uint8]:
    """Reads a part at a time, into a file where the array is large (``storage``); the checksum is looked at after the last."""
    with zipfile.ZipFile(path) as file, file.open(f"{name}.npy") as entry:
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_columns, dtype = read_header[np.lib.format.read_magic(entry)](entry)
        if by_columns or dtype != np.uint8:
            raise ValueError("no array of bytes")
        array = storage.empty(*shape).numpy()
        rest = array.reshape(-1)
        while rest.size:
            piece = np.frombuffer(entry.read(min(CHUNK, rest.size)), np.uint8)
            if not piece.size:
                raise EOFError("it ends too early")
            rest[: piece.size] = piece
            rest = rest[piece.size :]
        if entry.read(1):
            raise ValueError("it goes on after its end")
        return array


class EvidenceCache:
    """Arrays of bytes by kind and content key, one ``kind-key.npz`` each, which numpy reads; from several threads at a time.

    A thread of its own writes them, while work goes on. folder: None keeps nothing. A folder that cannot be written, or a full
    disk, is said once; then nothing more is kept.
    """

    _pending: ClassVar[dict[Path, Future[None]]] = {}
    """What the caches of the process are writing: the others wait for it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._writes = folder is not None
        self._used: set[Path] = set()
        self._lock = threading.Lock()
        self._writer: ThreadPoolExecutor | None = None
        self._written: list[Future[None]] = []

    @property
    def keeps(self) -> bool:
        """Whether anything is kept, and a key is of use."""
        return self.folder is not None

    def get(self, kind: str, key: str) -> NDArray[np.uint8] | None:
        """Returns the array; None where it is not kept, or its file is damaged."""
        if self.folder is None:
            return None
        path = self._path(self.folder, kind, key)
        if (pending := self._pending.get(path)) is not None:
            pending.result()
        try:
            array = _read(path, kind)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            logging.getLogger(__name__).warning(f"{path} cannot be read ({error}); it is computed again")
            return None
        self._used.add(path)
        return array

    def put(self, kind: str, key: str, array: NDArray[np.uint8]) -> None:
        """Keeps the array, which may not change before ``finish``."""
        if self.folder is None or not self._writes:
            return
        path = self._path(self.folder, kind, key)
        with self._lock:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, "cache")  # Python waits for it before it ends
            self._pending[path] = written = self._writer.submit(self._put, path, kind, array)
            self._written.append(written)
        written.add_done_callback(lambda done: self._pending.pop(path) if self._pending.get(path) is done else None)

    def finish(self) -> None:
        """Waits until all is written."""
        with self._lock:
            writing, self._written = self._written, []
        for written in writing:
            written.result()

    def _put(self, path: Path, kind: str, array: NDArray) -> None:
        if not self._writes:
            return
        try:
            with replacing(path) as temporary:
                _write(temporary, kind, array)
        except OSError as error:
            logging.getLogger(__name__).warning(f"evidence is not kept for later runs: {error}")
            self._writes = False
        else:
            self._used.add(path)

    def forget_unused(self) -> None:
        """Removes the entries that this cache has neither given nor taken, and what interrupted processes left half-written."""
        if self.folder is None:
            return
        self.finish()
        entries = set(self.folder.glob("*-*.npz")) - self._used
        for path in entries | set(self.folder.glob(".*.partial")):
            with suppress(OSError):
                path.unlink()

    @staticmethod
    def _path(folder: Path, kind: str, key: str) -> Path:
        return folder / f"{kind}-{key}.npz"
