"""Returns freed memory to the operating system.

glibc keeps the memory that the slabs of one level free, in pieces that do not fit the slabs of the next level. Without this, a
process holds several times a slab beside its states.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache

import torch

# Smaller fields leave so little memory behind that the search for it costs more.
LARGE_FIELD = 32 << 20


def release_freed(field: torch.Tensor) -> None:
    """Returns freed heap pages after a change of level, if ``field`` lies on a CPU with glibc and is large."""
    if field.device.type == "cpu" and field.nbytes > LARGE_FIELD:
        trim = _malloc_trim()
        if trim is not None:
            trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
