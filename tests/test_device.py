"""The memory that a run may take."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from revseg.device import free_memory, held_memory

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
    with limited(300 << 20, kind):
        assert 250 << 20 < free_memory(CPU) <= 300 << 20
    assert free_memory(CPU) > 300 << 20


def test_held_memory_follows_what_is_written_to() -> None:
    before = held_memory()
    block = torch.ones(64 << 20, dtype=torch.uint8)
    assert held_memory() - before == pytest.approx(block.nbytes, rel=0.1)
