"""The kernels for the CPU. Without a compiler PyTorch computes, and a warning says so."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from revseg.reversible.kernels import switch
from revseg.reversible.kernels.native.compiled import Compiled, address

KINDS = {torch.int16: 0, torch.float16: 1, torch.bfloat16: 2, torch.float32: 3}
"""Types that elements of a field may have, as convert.h numbers them."""


def takes(*fields: Tensor) -> bool:
    """Whether fields on the CPU, of such types, may be given to what is compiled."""
    return switch.on() and all(field.device.type == "cpu" and field.dtype in KINDS for field in fields) and library() is not None


def called(name: str, *values: object) -> float:
    """Calls a function with as many threads as PyTorch has; tensors as their addresses, integers as sizes."""
    found = library()
    assert found is not None
    given = (address(value) if isinstance(value, Tensor) else value for value in values)
    return float(getattr(found, name)(*given, torch.get_num_threads()) or 0)


def library() -> ctypes.CDLL | None:
    """Returns what is compiled; None where that cannot be (``Compiled.library``)."""
    return _compiled.library()


def _differs() -> str:
    """Returns how what it does with a small field differs from what PyTorch does, in a bit; nothing: it does not."""
    from revseg.reversible import haar
    from revseg.reversible.grid import Grid
    from revseg.reversible.kernels.native.fields import change_level_

    grid, axes, random = Grid(torch.int16, 8), (True, True, True), torch.Generator().manual_seed(0)
    for channels in (1, 3):  # the first in a way of its own
        fine = torch.randint(-9999, 9999, (2, 6, 70, channels), generator=random).to(torch.int16)
        coarse, expected = (fine.new_empty(haar.coarse_shape(fine.shape, axes)) for _ in range(2))
        change_level_(fine, coarse, fine=fine, axes=axes, exact=True)
        haar._coarsen_group_(fine.clone(), expected, axes=axes, grid=grid)
        if not torch.equal(coarse, expected):
            return "what was compiled rounds otherwise than PyTorch"
    return ""


_compiled = Compiled(
    Path(__file__).parent,
    {
        "haar": None,
        "kick_exact": ctypes.c_double,
        "kick_floating": None,
        "convert": None,
        "opening": None,
        "opening_gradient": None,
    },
    costs="PyTorch changes levels and adds forces on the CPU, so that a step takes about half as long again",
    differs=_differs,
)
