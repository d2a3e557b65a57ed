"""The passes over a field on a CPU that are compiled: a change of level, the kick of a leapfrog step, copies for convolutions.

PyTorch's operators go through memory once for each sum and each rounding, and change int16 to float32 and back. Here a row stays
in a core's nearest cache. On the grid the results are the same bits, so that a process may use either.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from revseg.reversible.kernels.native.compiled import sizes
from revseg.reversible.kernels.native.library import KINDS, called, takes

GROUP_BYTES = 1 << 20
"""Bytes of the frames whose level is changed at a time: they and their copy stay in the caches."""

Axes = tuple[bool, bool, bool]


def change_level_(source: Tensor, target: Tensor, *, fine: Tensor, axes: Axes, exact: bool) -> None:
    """Coarsens frames (T, H, W, C) or refines them, into the same memory; ``fine`` is one of both."""
    back = fine is target
    copied = source.clone()
    places = (target, copied) if back else (copied, target)
    coarse = [size // (2 if halved else 1) for size, halved in zip(fine.shape[:3], axes, strict=True)]
    phases = [2 if one else 1 for one in axes]
    called("haar", *places, *sizes([*coarse, fine.shape[3]]), *phases, KINDS[fine.dtype], int(exact), int(back))


def kicks(partner: Tensor, curr: Tensor, force: Tensor, *, exact: bool) -> bool:
    """Whether these are kicked here: an exact state in int16, or what is floating; its frames each in one piece."""
    taken = force.dtype != torch.int16 and (partner.dtype == torch.int16) == exact
    return taken and partner.stride() == curr.stride() and _in_pieces(partner) and takes(partner, curr, force)


def kick_(partner: Tensor, curr: Tensor, force: Tensor, *, sign: int, exact: bool) -> Tensor | None:
    """``Grid.kick_`` of fields (t, h, W, C), which may be parts of larger ones."""
    force, kind = force.contiguous(), KINDS[force.dtype]
    where = sizes([len(partner), partner[0].numel(), partner.stride(0)])
    if exact:
        return torch.tensor(called("kick_exact", partner, curr, force, kind, *where), dtype=torch.float64)
    called("kick_floating", partner, KINDS[partner.dtype], force, kind, ctypes.c_float(sign), *where)
    return None


def copies(target: Tensor, source: Tensor) -> bool:
    """Whether a part of a field is copied here: each of its frames in one piece, there and here."""
    return target.shape == source.shape and _in_pieces(target) and _in_pieces(source) and takes(target, source)


def copy_(target: Tensor, source: Tensor) -> None:
    """Copies (t, h, W, C), rounded to the nearest."""
    there, here = (part.stride(0) for part in (target, source))
    to = target, KINDS[target.dtype], ctypes.c_long(there)
    called("convert", *to, source, KINDS[source.dtype], *sizes([here, len(source), source[0].numel()]))


def _in_pieces(field: Tensor) -> bool:
    return len(field) > 0 and field[0].is_contiguous()
