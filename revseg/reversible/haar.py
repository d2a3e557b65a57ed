"""Orthonormal 3D Haar transform of a field, in place: coarsening and refining.

A field is one contiguous tensor (T, H, W, C). Coarsening halves the chosen axes, any of the three, and doubles C for each:

    along one axis   low = (a + b) / sqrt 2        high = (b - a) / sqrt 2        for neighbours a, b

On the grid the same 45 degree rotation is three shears, each rounded, so it can be undone bit for bit:

    a += round(t b);  b -= round(s a);  a += round(t b)        t = tan(pi/8), s = sin(pi/4)

Frames lie one after the other in memory, so the 2 (or 1) fine frames and the coarse frame that they become fill the same
bytes: the transform needs memory for the few frames it works on, never for a second field.
Coarse channel index = ((dt 2 + dh) 2 + dw) C + c, where dt, dh, dw = 0 low, 1 high; an axis that is not halved has no digit.
Source: Lensink, Peters, Haber, arXiv:1905.10484; lifting: Daubechies and Sweldens, "Factoring wavelet transforms", 1998.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch
from revseg.reversible.kernels.native import fields as native
from revseg.reversible.kernels.native.library import takes

Axes = tuple[bool, bool, bool]
"""Which of T, H and W are halved."""

SHEAR = math.tan(math.pi / 8)
ROTATION = math.sin(math.pi / 4)


# Bytes of a working copy: on a CPU it stays in a core's cache during all shears, on a GPU it gives all cores work.
STRIP_BYTES = {"cpu": 1 << 20, "cuda": 64 << 20}


def coarsen_(field: Tensor, axes: Axes, grid: Grid, group_bytes: int) -> Tensor:
    """Halves the axes of (T, H, W, C), C -> 2C for each, in the same memory; ``field`` must not be used afterwards."""
    coarse = field.view(coarse_shape(field.shape, axes))
    way = _way(field, axes, grid=grid, budget=group_bytes)
    for fine_part, coarse_part in _groups(field, coarse, way.group_bytes):
        if way.fused:
            dispatch.coarsen_group_(fine_part, coarse_part, halve_time=axes[0], exact=grid.exact)
        elif way.compiled:
            native.change_level_(fine_part, coarse_part, fine=fine_part, axes=axes, exact=grid.exact)
        else:
            _coarsen_group_(fine_part, coarse_part, axes=axes, grid=grid)
    return coarse


def refine_(coarse: Tensor, axes: Axes, grid: Grid, group_bytes: int) -> Tensor:
    """Inverts ``coarsen_``; in floating point this is also its adjoint, because the transform is orthonormal."""
    field = coarse.view(fine_shape(coarse.shape, axes))
    way = _way(field, axes, grid=grid, budget=group_bytes)
    for fine_part, coarse_part in _groups(field, coarse, way.group_bytes):
        if way.fused:
            dispatch.refine_group_(coarse_part, fine_part, halve_time=axes[0], exact=grid.exact)
        elif way.compiled:
            native.change_level_(coarse_part, fine_part, fine=fine_part, axes=axes, exact=grid.exact)
        else:
            _refine_group_(coarse_part, fine_part, axes=axes, grid=grid)
    return field


class _Way(NamedTuple):
    """How a level is changed: by a GPU's kernel, by a CPU's, or by PyTorch; and so many bytes of coarse frames at a time."""

    fused: bool
    compiled: bool
    group_bytes: int


def _way(field: Tensor, axes: Axes, *, grid: Grid, budget: int) -> _Way:
    if axes[1] and axes[2] and dispatch.usable_for_haar(field, grid):
        return _Way(True, False, min(budget, dispatch.HAAR_GROUP_BYTES))
    if takes(field):
        return _Way(False, True, min(budget, native.GROUP_BYTES))
    return _Way(False, False, STRIP_BYTES[field.device.type])


def _coarsen_group_(fine: Tensor, coarse: Tensor, axes: Axes, grid: Grid) -> None:
    strips = _strips(coarse)
    source = fine.clone() if len(strips) > 1 else fine  # coarse rows overwrite fine rows that later strips need
    rows = fine.shape[1] // coarse.shape[1]
    for top, bottom in strips:
        phases = _gather(_phases_of(source[:, rows * top : rows * bottom], axes))
        _rotate_(phases, grid)
        _scatter_(_join(coarse[:, top:bottom], axes), grid.saturate_(phases))


def _refine_group_(coarse: Tensor, fine: Tensor, axes: Axes, grid: Grid) -> None:
    strips = _strips(coarse)
    source = coarse.clone() if len(strips) > 1 else coarse
    rows = fine.shape[1] // coarse.shape[1]
    for top, bottom in strips:
        phases = _gather(_join(source[:, top:bottom], axes))
        _rotate_back_(phases, grid)
        _scatter_(_phases_of(fine[:, rows * top : rows * bottom], axes), grid.saturate_(phases))


def _strips(coarse: Tensor) -> list[tuple[int, int]]:
    """Returns the rows (first, last + 1) of strips of the coarse frames, about STRIP_BYTES of float32 each."""
    height = coarse.shape[1]
    rows = max(1, STRIP_BYTES[coarse.device.type] * height // (coarse.numel() * 4))
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def coarse_shape(shape: torch.Size, axes: Axes) -> tuple[int, int, int, int]:
    """(T, H, W, C) of a field one level coarser. Raises ValueError where an axis that is halved is odd."""
    if any(halved and size % 2 for size, halved in zip(shape, axes, strict=False)):
        raise ValueError(
            f"a field of {shape[0]} x {shape[1]} x {shape[2]} cannot be halved along {names_of(axes)}; "
            "pad these axes to multiples of 2 per level"
        )
    t, h, w = (size // (2 if halved else 1) for size, halved in zip(shape[:3], axes, strict=True))
    return t, h, w, shape[3] << sum(axes)


def fine_shape(shape: torch.Size, axes: Axes) -> tuple[int, int, int, int]:
    """(T, H, W, C) of a field one level finer. Raises ValueError where the channels cannot be shared out."""
    if shape[3] % (1 << sum(axes)):
        raise ValueError(f"{shape[3]} channels cannot be refined along {names_of(axes)}: give a multiple of {1 << sum(axes)}")
    t, h, w = (size * (2 if doubled else 1) for size, doubled in zip(shape[:3], axes, strict=True))
    return t, h, w, shape[3] >> sum(axes)


def names_of(axes: Axes) -> str:
    """Returns the names of the axes that are halved: "T, H and W"."""
    names = [name for name, halved in zip("THW", axes, strict=True) if halved]
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _groups(field: Tensor, coarse: Tensor, group_bytes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the same memory, a few frames at a time, as fine and as coarse frames."""
    ratio = field.shape[0] // coarse.shape[0]
    frame_bytes = coarse[0].numel() * 4
    count = max(1, group_bytes // frame_bytes)
    for start in range(0, coarse.shape[0], count):
        stop = min(start + count, coarse.shape[0])
        yield field[ratio * start : ratio * stop], coarse[start:stop]


def _phases_of(fine: Tensor, axes: Axes) -> Tensor:
    """Views (T, H, W, C) as (dt, dh, dw, t, h, w, C)."""
    t, h, w, channels = fine.shape
    dt, dh, dw = (2 if halved else 1 for halved in axes)
    return fine.view(t // dt, dt, h // dh, dh, w // dw, dw, channels).permute(1, 3, 5, 0, 2, 4, 6)


def _join(coarse: Tensor, axes: Axes) -> Tensor:
    """Views (t, h, w, 8C) as (dt, dh, dw, t, h, w, C)."""
    t, h, w, channels = coarse.shape
    phases = [2 if halved else 1 for halved in axes]
    return coarse.view(t, h, w, *phases, channels >> sum(axes)).permute(3, 4, 5, 0, 1, 2, 6)


def _gather(phases: Tensor) -> Tensor:
    """Copies the phases one after another, in a dtype whose integers are exact: the shears then stream through memory."""
    dtype = torch.float64 if phases.dtype in (torch.int32, torch.float64) else torch.float32
    return _packed(phases).clone(memory_format=torch.contiguous_format).view(phases.dtype).to(dtype)


def _scatter_(phases: Tensor, values: Tensor) -> None:
    _packed(phases).copy_(_packed(values.to(phases.dtype)))


def _packed(phases: Tensor) -> Tensor:
    """Views whole channel vectors as wide elements, for copies only: strided copies of 4 channels are 4 times slower."""
    run = phases.shape[-1] * phases.element_size()
    for dtype in (torch.complex128, torch.float64):
        if run % dtype.itemsize == 0:
            return phases.view(dtype)
    return phases


def _pairs(phases: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for axis in range(3):
        if phases.shape[axis] == 2:
            yield phases.select(axis, 0), phases.select(axis, 1)


def _rotate_(phases: Tensor, grid: Grid) -> None:
    if not grid.exact:
        _multiply_(phases, transposed=False)
        return
    for low, high in _pairs(phases):
        rounded = torch.empty(low.shape, dtype=low.dtype, device=low.device)
        low.add_(torch.mul(high, SHEAR, out=rounded).round_())
        high.sub_(torch.mul(low, ROTATION, out=rounded).round_())
        low.add_(torch.mul(high, SHEAR, out=rounded).round_())


def _rotate_back_(phases: Tensor, grid: Grid) -> None:
    if not grid.exact:
        _multiply_(phases, transposed=True)
        return
    for low, high in reversed(list(_pairs(phases))):
        rounded = torch.empty(low.shape, dtype=low.dtype, device=low.device)
        low.sub_(torch.mul(high, SHEAR, out=rounded).round_())
        high.add_(torch.mul(low, ROTATION, out=rounded).round_())
        low.sub_(torch.mul(high, SHEAR, out=rounded).round_())


def _multiply_(phases: Tensor, transposed: bool) -> None:
    """Multiplies the phases by the orthonormal 2^n x 2^n matrix of the transform: all n axes at once."""
    axis = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=phases.dtype, device=phases.device) * ROTATION
    matrix = torch.ones(1, 1, dtype=phases.dtype, device=phases.device)
    for size in phases.shape[:3]:
        matrix = torch.kron(matrix, axis) if size == 2 else matrix
    flat = phases.view(len(matrix), -1)
    flat.copy_((matrix.t() if transposed else matrix) @ flat)


def coarsened(values: Tensor, axes: Axes) -> Tensor:
    """Returns the orthonormal transform of values (N, C, T, H, W), under ordinary autograd; channels as in ``coarsen_``."""
    for axis in (4, 3, 2):
        if axes[axis - 2]:
            a, b = values.unflatten(axis, (-1, 2)).unbind(axis + 1)
            values = torch.stack([(a + b) * ROTATION, (b - a) * ROTATION], 1).flatten(1, 2)
    return values


def refined(values: Tensor, axes: Axes) -> Tensor:
    """Inverts ``coarsened``."""
    for axis in (2, 3, 4):
        if axes[axis - 2]:
            low, high = values.unflatten(1, (2, -1)).unbind(1)
            values = torch.stack([(low - high) * ROTATION, (low + high) * ROTATION], axis + 1).flatten(axis, axis + 1)
    return values
