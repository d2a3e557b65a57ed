"""Flow that is needed more than once, kept on disk: memory does not grow with the length of a video.

Each pair of frames takes a record of 4 H W bytes, 1.6 MB at 480 lines, and a header after it:

    displacement (2, H, W) int16 | magic, frame, other, crc32 of the displacement

A record counts once its header is there, and one of another process once its checksum is right: a process may be killed at any
moment. A named file is locked by the process that has it; another one meanwhile uses a file of its own. Processes that find the
flow of a video together write a file each, and read those of all.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import shutil
import struct
import tempfile
import threading
import weakref
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.device import free_memory
from revseg.evidence.fields import Pair

Displacement = NDArray[np.int16]

# No more than this, nor than half of what is free: beyond it flow is computed again.
LARGEST_BYTES = 8 << 30

# Displacements on a device take no more than this share of what is free there.
HELD_SHARE = 1 / 4

HEADER, MAGIC = struct.Struct("<8sqqI"), b"revflow1"


class FlowStore:
    """Where flows are kept: files ``flow-KEY.bin`` in a folder, which later processes open again.

    folder: None, or keep=False: a file without a name, there or in the system's folder for temporary files, which ends with the
    process, however that ends. device: of the run; on a GPU flow is found anew in less time than it is written in. part: number
    of the process among those that work together, whose file is ``flow-KEY-PART.bin``, that of the first one ``flow-KEY.bin``.
    """

    def __init__(
        self, folder: Path | None = None, *, keep: bool = True, device: torch.device | None = None, part: int = 0
    ) -> None:
        self.folder, self.keeps, self.part = folder, keep and folder is not None, part
        self.device = device or torch.device("cpu")
        self._used: set[str] = set()

    def open(self, key: str, height: int, width: int) -> FlowRecords:
        """Returns the records of the displacements (2, height, width) with the key."""
        self.use(key)
        file = self._named(key) if self.keeps else None
        records = FlowRecords(file or self._unnamed(), height, width)
        self.read_others(records, key)
        return records

    def read_others(self, records: FlowRecords, key: str) -> None:
        """Adds what the files of other processes hold by now."""
        for path in self._files(key):
            if path.name != self._name(key):
                with suppress(OSError):
                    records.read(path.open("rb"))

    def use(self, key: str) -> None:
        """Says that records are needed, though they may not be opened (``forget_unused``)."""
        self._used.add(key)

    def forget_unused(self) -> None:
        """Removes the files whose key was not used."""
        used = {path for key in self._used for path in self._files(key)}
        for path in set(self._files("*")) - used:
            with suppress(OSError):
                path.unlink()

    def _name(self, key: str) -> str:
        return f"flow-{key}-{self.part}.bin" if self.part else f"flow-{key}.bin"

    def _files(self, key: str) -> list[Path]:
        """Those of all processes."""
        if self.folder is None or not self.keeps:
            return []
        return [*self.folder.glob(f"flow-{key}.bin"), *self.folder.glob(f"flow-{key}-*.bin")]

    def _named(self, key: str) -> BinaryIO | None:
        """None where the folder cannot be written, or another process has the file."""
        assert self.folder is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(os.open(self.folder / self._name(key), os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:  # the cache beside it warns
            logging.getLogger(__name__).info(f"flow is not kept in {self.folder} for later runs: {error.strerror}")
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file

    def _unnamed(self) -> BinaryIO:
        try:
            return tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 (it lives as long as its records)
        except OSError:
            return tempfile.TemporaryFile()  # noqa: SIM115


class _Place(NamedTuple):
    """Place of a record in a file."""

    file: BinaryIO
    slot: int
    checksum: int | None
    """That it has to have, as long as it has not been looked at; None: it is right."""


class FlowRecords:
    """Displacements (2, H, W) int16 of pairs of frames in an open file, and those in others; from several threads at a time."""

    def __init__(self, file: BinaryIO, height: int, width: int) -> None:
        self._shape = 2, height, width
        self._bytes = 2 * height * width * np.dtype(np.int16).itemsize
        self._stride = self._bytes + HEADER.size
        self._file = file
        weakref.finalize(self, file.close)
        self._at = dict(self._held_by(file))
        taken = frozenset(place.slot for place in self._at.values())
        self._unused, self._damaged = (slot for slot in itertools.count() if slot not in taken), list[int]()
        free = shutil.disk_usage(file.fileno()).free
        self._room = max(0, min(LARGEST_BYTES, free // 2 + len(taken) * self._stride) // self._stride - len(taken))
        self._lock = threading.Lock()

    def read(self, file: BinaryIO) -> None:
        """Adds what another process has written so far to a file of its own."""
        weakref.finalize(self, file.close)
        others = dict(self._held_by(file))
        with self._lock:
            self._at = others | self._at

    def _held_by(self, file: BinaryIO) -> Iterator[tuple[Pair, _Place]]:
        """The records that another process has finished; their checksums wait until they are read."""
        for slot in range(os.fstat(file.fileno()).st_size // self._stride):
            header = os.pread(file.fileno(), HEADER.size, slot * self._stride + self._bytes)
            magic, frame, other, checksum = HEADER.unpack(header)
            if magic == MAGIC:
                yield (frame, other), _Place(file, slot, checksum)

    @property
    def room(self) -> int:
        """For how many more pairs."""
        return self._room

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._at

    def get(self, pair: Pair) -> Displacement | None:
        """Returns the displacement; None where it is not kept."""
        if (place := self._at.get(pair)) is None:
            return None
        read = os.pread(place.file.fileno(), self._bytes, place.slot * self._stride)
        if place.checksum is not None and not self._checked(pair, place, read):
            return None
        return np.frombuffer(read, np.int16).reshape(self._shape)

    def _checked(self, pair: Pair, place: _Place, read: bytes) -> bool:
        """Whether a record of another process is whole; if not, its place is free."""
        whole = len(read) == self._bytes and zlib.crc32(read) == place.checksum
        with self._lock:
            if self._at.get(pair) is place:
                if whole:
                    self._at[pair] = place._replace(checksum=None)
                else:
                    del self._at[pair]
                    if place.file is self._file:
                        self._damaged.append(place.slot)
                        self._room += 1
        return whole

    def put(self, pair: Pair, displacement: Displacement) -> None:
        """Keeps it as long as there is room."""
        with self._lock:
            if pair in self._at or not self._room:
                return
            # A damaged record's own place first: its header is not to be found later on.
            at, self._room = self._damaged.pop() if self._damaged else next(self._unused), self._room - 1
        content = displacement.tobytes()
        try:
            self._write(content, at * self._stride)
            self._write(HEADER.pack(MAGIC, *pair, zlib.crc32(content)), at * self._stride + self._bytes)
        except OSError as error:
            if self._room:
                message = f"flow that is needed again is computed again from here on: {error.strerror}"
                logging.getLogger(__name__).warning(message)
            self._room = 0
        else:
            self._at[pair] = _Place(self._file, at, None)  # only now: whoever sees the pair finds the whole record

    def _write(self, content: bytes, offset: int) -> None:
        """A full disk takes a part first, and says so only when asked for the rest."""
        while content:
            written = os.pwrite(self._file.fileno(), content, offset)
            content, offset = content[written:], offset + written


class HeldRecords:
    """Displacements (2, H, W) int16 of pairs of frames in the memory of a device; from several threads at a time."""

    def __init__(self, device: torch.device, height: int, width: int) -> None:
        self._held: dict[Pair, Tensor] = {}
        bytes_of_one = 2 * height * width * np.dtype(np.int16).itemsize
        self._most = int(HELD_SHARE * free_memory(device) / bytes_of_one)

    @property
    def room(self) -> int:
        """For how many more pairs."""
        return max(0, self._most - len(self._held))

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._held

    def get(self, pair: Pair) -> Tensor | None:
        """Returns the displacement; None where it is not kept."""
        return self._held.get(pair)

    def put(self, pair: Pair, displacement: Tensor) -> None:
        """Keeps it as long as there is room."""
        if self.room:
            self._held[pair] = displacement
