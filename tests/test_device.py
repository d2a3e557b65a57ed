"""The memory that a run may take."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from revseg.device import THREADS_BESIDE, free_memory, held_memory, stacks_of_run

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="sizes are read from Linux's /proc")


LIMITS = {"address space": (resource.RLIMIT_AS, 0), "data": (resource.RLIMIT_DATA, 5)}


def taken(kind: str) -> int:
    """Bytes that a limit counts."""
    _, place = LIMITS[kind]
    return int(Path("/proc/self/statm").read_text().split()[place]) * resource.getpagesize()


@contextmanager
def limited(more: int, kind: str = "address space") -> Iterator[None]:
    """Limits this process to so many bytes beside what it has."""
    limit, _ = LIMITS[kind]
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (taken(kind) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))


@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_of_the_process_counts(kind: str) -> None:
    left = (300 << 20) - stacks_of_run()
    with limited(300 << 20, kind):
        assert left - (2 << 20) < free_memory(CPU) <= left
    assert free_memory(CPU) > 300 << 20


def test_what_a_limit_leaves_is_there_when_threads_have_started() -> None:
    """Limits count the stack of each whole, though it sleeps."""
    started, ended = threading.Barrier(THREADS_BESIDE + 1), threading.Event()

    def wait() -> None:
        started.wait()
        ended.wait()

    threads = [threading.Thread(target=wait) for _ in range(THREADS_BESIDE)]
    with limited(300 << 20, "data"):
        limit, before, named = resource.getrlimit(resource.RLIMIT_DATA)[0], taken("data"), free_memory(CPU)
        for thread in threads:
            thread.start()
        started.wait()
        after = taken("data")
        ended.set()
        for thread in threads:
            thread.join()
    assert after - before <= stacks_of_run()
    assert limit - after >= named


def test_held_memory_follows_what_is_written_to() -> None:
    before = held_memory()
    block = torch.ones(64 << 20, dtype=torch.uint8)
    assert held_memory() - before == pytest.approx(block.nbytes, rel=0.1)
