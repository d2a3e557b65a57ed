"""Returns freed memory to the operating system between two phases of a run.

glibc keeps the pieces that one phase frees, in as many heaps as there were threads, and the next phase asks for others. Small
thresholds of malloc would return each piece at once, and cost six times the system's time (measured on a whole run).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def release_freed() -> None:
    """Gives freed pages of all heaps back, where the C library can (glibc)."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
