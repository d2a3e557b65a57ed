"""The memory that a run may take."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from revseg.device import free_memory, held_memory, stacks_of_run

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="sizes are read from Linux's /proc")


LIMITS = {"address space": (resource.RLIMIT_AS, 0), "data": (resource.RLIMIT_DATA, 5)}


@contextmanager
def limited(more: int, kind: str = "address space") -> Iterator[None]:
    """Limits this process to so many bytes beside what it has."""
    limit, place = LIMITS[kind]
    soft, hard = resource.getrlimit(limit)
    now = int(Path("/proc/self/statm").read_text().split()[place]) * resource.getpagesize()
    resource.setrlimit(limit, (now + more, hard))
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


def test_stacks_of_threads_count_against_limits() -> None:
    """All of them: one that sleeps takes what is set aside for it."""
    started, ended = threading.Barrier(5), threading.Event()

    def wait() -> None:
        started.wait()
        ended.wait()

    before = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    after = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    ended.set()
    for thread in threads:
        thread.join()
    assert after - before <= stacks_of_run()


def test_held_memory_follows_what_is_written_to() -> None:
    before = held_memory()
    block = torch.ones(64 << 20, dtype=torch.uint8)
    assert held_memory() - before == pytest.approx(block.nbytes, rel=0.1)
