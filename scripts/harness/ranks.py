"""Processes as a launcher starts them on one machine: each with its rank, and a place to meet."""

from __future__ import annotations

import os
import socket

from harness import ROOT


def environments(count: int, threads: int) -> list[dict[str, str]]:
    """Returns the environment of each of so many processes, with so many threads; of one alone, no launcher's."""
    common = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    if count == 1:
        return [common]
    common |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def free_port() -> int:
    """Returns a port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
