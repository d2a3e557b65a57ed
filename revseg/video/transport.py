"""Finds the frames of an MPEG transport stream of which a part is missing.

FFmpeg marks packets as corrupt wherever the counter of a stream jumps, also where two whole recordings were joined, and it marks
the frame before the damaged one. Here a frame is incomplete only where the counter jumps, or an error is flagged, within it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SIZES = (188, 192, 204)
"""Bytes from one packet to the next: plain, with a time stamp before it (.m2ts), with a checksum behind it."""
SYNC = 0x47
CHUNK = 1 << 24
RUN = 5
"""Packets in a row that must begin with the sync byte where reading begins anew."""

Bytes = NDArray[np.uint8]


def incomplete_frames(path: Path, stream: int) -> set[int]:
    """Returns where in the file the frames begin of which a part is missing. stream: number (PID) of the video stream."""
    found, begun, last = set[int](), -1, -1
    with path.open("rb") as file:
        for position, header in _headers(file):
            number = (header[:, 1] & 0x1F).astype(int) << 8 | header[:, 2]
            ours = (number == stream) & (header[:, 3] & 0x10 != 0)  # with a payload: only these are counted
            position, header = position[ours], header[ours]
            if not len(header):
                continue
            begins, error = header[:, 1] & 0x40 != 0, header[:, 1] & 0x80 != 0
            announced = (header[:, 3] & 0x20 != 0) & (header[:, 4] > 0) & (header[:, 5] & 0x80 != 0)
            counter = header[:, 3].astype(int) & 15
            before = np.concatenate([[counter[0] - 1 if last < 0 else last], counter[:-1]])
            jumps = (counter != (before + 1) % 16) & ~begins & ~announced
            latest = np.maximum.accumulate(np.where(begins, position, begun))
            found.update(latest[jumps | error].tolist())
            begun, last = int(latest[-1]), int(counter[-1])
    return found


def _headers(file: BinaryIO) -> Iterator[tuple[NDArray[np.int64], Bytes]]:
    """Yields (position, first six bytes) of the packets, many at a time; looks for the next whole one where bytes are missing."""
    position, size, rest = 0, 0, b""
    while content := file.read(CHUNK):
        data = np.frombuffer(rest + content, np.uint8)
        at = 0
        while len(data) - at >= (RUN + 1) * max(SIZES):
            if not size or data[at] != SYNC:
                at, size = _synchronized(data, at)
                continue
            rows = data[at : at + (len(data) - at) // size * size].reshape(-1, size)
            good = int(np.logical_and.accumulate(rows[:, 0] == SYNC).sum())
            yield position + at + size * np.arange(good), rows[:good, :6]
            at += good * size
        position, rest = position + at, data[at:].tobytes()
    if size:
        rows = np.frombuffer(rest[: len(rest) // size * size], np.uint8).reshape(-1, size)
        good = int(np.logical_and.accumulate(rows[:, 0] == SYNC).sum())
        yield position + size * np.arange(good), rows[:good, :6]


def _synchronized(data: Bytes, start: int) -> tuple[int, int]:
    """Returns where the next run of packets begins, and their size; where there is none, the last place that is not searched."""
    end = len(data) - RUN * max(SIZES)
    for at in (start + np.flatnonzero(data[start:end] == SYNC)).tolist():
        for size in SIZES:
            if (data[at : at + RUN * size : size] == SYNC).all():
                return at, size
    return end, 0
