"""Giving freed memory back to the operating system.

glibc keeps what the slabs of one level free, in pieces that do not fit those of the next level; a process would end up with
several times a slab beside its states.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import torch

# Smaller fields leave behind less than it costs to look for it.
LARGE_FIELD = 32 << 20


def release_freed(field: torch.Tensor) -> None:
    """After a change of level: return freed heap pages, if ``field`` lies on a CPU with glibc and is large."""
    if field.device.type == "cpu" and field.nbytes > LARGE_FIELD:
        trim = _malloc_trim()
        if trim is not None:
            trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
