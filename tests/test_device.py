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


@contextmanager
def address_space(more: int) -> Iterator[None]:
    """Limits this process to so many bytes beside what it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_limit_of_the_address_space_counts() -> None:
    with address_space(300 << 20):
        assert 250 << 20 < free_memory(CPU) <= 300 << 20
    assert free_memory(CPU) > 300 << 20


def test_held_memory_follows_what_is_written_to() -> None:
    before = held_memory()
    block = torch.ones(64 << 20, dtype=torch.uint8)
    assert held_memory() - before == pytest.approx(block.nbytes, rel=0.1)
