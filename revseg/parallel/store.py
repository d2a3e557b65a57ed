"""Where the processes of a group meet: PyTorch's store of keys and values, which rank 0 keeps, or torchrun."""

from __future__ import annotations

import socket
import threading
import time
from datetime import timedelta

from torch.distributed import DistError, PrefixStore, Store, TCPStore

from revseg.parallel.place import Place

PATIENCE = 300.0
"""Seconds that the processes of a group may start apart: machines load their libraries, one from a slow disk."""

ANSWER = 20.0
"""Seconds in which a store that is there answers."""


def connect(place: Place) -> Store:
    """Returns the store of a group. Raises ValueError in one sentence where there is none, or its port is taken."""
    serves = place.rank == 0 and not place.hosted
    if not serves:
        _await_port(place)
    store = _answering(place, serves)
    return PrefixStore(f"revseg/{place.attempt}", store)


def _await_port(place: Place) -> None:
    """Waits until somebody listens where rank 0 is to be."""
    began, reason = time.monotonic(), ""
    while time.monotonic() - began < PATIENCE:
        try:
            socket.create_connection((place.address, place.port), timeout=2).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
        time.sleep(0.1)
    raise ValueError(
        f"rank 0 did not answer at {place.address}:{place.port} within {PATIENCE:.0f} s ({reason}): see whether it has started "
        "there, and set MASTER_ADDR and MASTER_PORT to a machine and port that all ranks reach"
    )


def _answering(place: Place, serves: bool) -> Store:
    """Makes the store in a thread of its own: what is no store may never answer, and nothing would end the wait."""
    made: list[Store | DistError] = []

    def make() -> None:
        timeout = timedelta(seconds=ANSWER)
        try:
            made.append(TCPStore(place.address, place.port, None, serves, timeout, wait_for_workers=False))
        except DistError as error:
            made.append(error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    began = time.monotonic()
    while thread.is_alive() and time.monotonic() - began < ANSWER:  # not join(): a signal has to find this thread awake
        time.sleep(0.01)
    found = made[0] if made else None
    if isinstance(found, Store):
        return found
    if "EADDRINUSE" in str(found):
        raise ValueError(
            f"port {place.port}, where the ranks are to meet rank 0, is in use on this machine: set MASTER_PORT to a free one"
        ) from found
    raise ValueError(
        f"what listens at {place.address}:{place.port} is not rank 0 of this run: set MASTER_PORT to a port that is free there"
    ) from found
