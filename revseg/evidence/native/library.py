"""What of the evidence is compiled for the CPU. Without a compiler OpenCV and NumPy compute, and a warning says so.

A function of the library computes in the thread that calls it: several frames are worked on at a time (``Flow.pool``).
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from torch import Tensor

from revseg.reversible.kernels import switch
from revseg.reversible.kernels.compiler import compiler
from revseg.reversible.kernels.native.compiled import Compiled, address, written_for_this_machine

FUNCTIONS: tuple[str, ...] = (
    *("agreement", "dis_flow", "follow", "gather"),
    *("descriptors", "differences", "median", "perceptron_odds", "perceptron_gradients"),
    *("enlarge", "likeliest", "sharpen", "weigh"),
)


def _differs() -> str:
    """Returns how what it does with small frames differs from what OpenCV and PyTorch do; nothing: it does not."""
    from revseg.evidence.native.verify import verify

    return verify()


_compiled = Compiled(
    Path(__file__).parent,
    dict.fromkeys(FUNCTIONS),
    contracted=("background.c", "descriptors.c", "opinion.c", "perceptron.c", "warp.c"),
    differs=_differs,
    costs="OpenCV and PyTorch compute the evidence on the CPU, which takes more than twice as long",
)


def compiled() -> bool:
    """Whether there is what is compiled, and it may be used."""
    return switch.on() and _compiled.library() is not None


def expected() -> bool:
    """Whether it is to be expected that it can be compiled, without trying."""
    return switch.on() and written_for_this_machine() and compiler() is not None


def called(name: str, *values: object) -> None:
    """Calls a function: arrays and tensors as the addresses of their elements, which lie one after the other; whole numbers as
    long, others as float."""
    library = _compiled.library()
    assert library is not None
    getattr(library, name)(*map(_given, values))


def _given(value: object) -> object:
    if isinstance(value, Tensor):
        assert value.is_contiguous()
        return address(value)
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, float):
        return ctypes.c_float(value)
    return ctypes.c_long(value) if isinstance(value, int) else value
