"""Flow that is needed more than once, kept on disk: memory does not grow with the length of a video.

A file without a name in a folder: it ends with the process, however that ends. Each pair of frames takes a record of
4 H W bytes, 1.6 MB at 480 lines.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Displacement = NDArray[np.int16]

# No more than this, nor than half of what is free: beyond it flow is computed again.
LARGEST_BYTES = 8 << 30


class FlowStore:
    """Displacements (H, W, 2) int16 of pairs of frames; from several threads at a time. folder: None: that of the system."""

    def __init__(self, folder: Path | None, height: int, width: int) -> None:
        self._shape = height, width, 2
        self._record = 2 * height * width * np.dtype(np.int16).itemsize
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as the store)
        weakref.finalize(self, self._file.close)
        free = shutil.disk_usage(folder or tempfile.gettempdir()).free
        self._records = min(LARGEST_BYTES, free // 2) // self._record
        self._at: dict[tuple[int, int], int] = {}
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def room(self) -> int:
        """For how many more pairs."""
        return max(0, self._records - self._taken)

    def __contains__(self, pair: tuple[int, int]) -> bool:
        return pair in self._at

    def get(self, pair: tuple[int, int]) -> Displacement | None:
        """None where it is not kept."""
        if (at := self._at.get(pair)) is None:
            return None
        read = os.pread(self._file.fileno(), self._record, at * self._record)
        return np.frombuffer(read, np.int16).reshape(self._shape)

    def put(self, pair: tuple[int, int], displacement: Displacement) -> None:
        """Keeps it as long as there is room."""
        with self._lock:
            if not self.room:
                return
            at, self._taken = self._taken, self._taken + 1
        try:
            self._write(displacement.tobytes(), at * self._record)
        except OSError as error:
            self._records = 0
            logging.getLogger(__name__).warning(f"flow that is needed again is computed again from here on: {error.strerror}")
        else:
            self._at[pair] = at  # only now: whoever sees the pair finds the whole record

    def _write(self, content: bytes, offset: int) -> None:
        """A full disk takes a part first, and says so only when asked for the rest."""
        while content:
            written = os.pwrite(self._file.fileno(), content, offset)
            content, offset = content[written:], offset + written
