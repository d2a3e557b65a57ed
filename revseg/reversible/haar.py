"""Orthonormal 3D Haar transform of a field, in place: coarsening and refining.

A field is one contiguous tensor (T, H, W, C). Coarsening halves the chosen axes and multiplies C by 2 for each:

    along one axis   low = (a + b) / sqrt 2        high = (b - a) / sqrt 2        for neighbours a, b

On the grid the same 45 degree rotation is three shears, each rounded, so it can be undone bit for bit:

    a += round(t b);  b -= round(s a);  a += round(t b)        t = tan(pi/8), s = sin(pi/4)

Frames lie one after the other in memory, so the 2 (or 1) fine frames and the coarse frame that they become fill the same
bytes: the transform needs memory for the few frames it works on, never for a second field.
Coarse channel index = ((dt 2 + dh) 2 + dw) C + c, where dt, dh, dw = 0 low, 1 high.
Source: Lensink, Peters, Haber, arXiv:1905.10484; lifting: Daubechies and Sweldens, "Factoring wavelet transforms", 1998.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch

SHEAR = math.tan(math.pi / 8)
ROTATION = math.sin(math.pi / 4)


# Bytes of a working copy: on a CPU it stays in a core's cache during all shears, on a GPU it gives all cores work.
STRIP_BYTES = {"cpu": 1 << 20, "cuda": 64 << 20}


def coarsen_(field: Tensor, halve_time: bool, grid: Grid, group_bytes: int) -> Tensor:
    """Coarsens (T, H, W, C) -> (T/2 or T, H/2, W/2, 8C or 4C), in the same memory; ``field`` must not be used afterwards."""
    coarse = field.view(coarse_shape(field.shape, halve_time))
    fused = dispatch.usable_for_haar(field, grid)
    for fine_part, coarse_part in _groups(field, coarse, _group_bytes(field, fused, group_bytes)):
        if fused:
            dispatch.coarsen_group_(fine_part, coarse_part, halve_time=halve_time, exact=grid.exact)
        else:
            _coarsen_group_(fine_part, coarse_part, halve_time=halve_time, grid=grid)
    return coarse


def refine_(coarse: Tensor, halve_time: bool, grid: Grid, group_bytes: int) -> Tensor:
    """Inverts ``coarsen_``; in floating point this is also its adjoint, because the transform is orthonormal."""
    field = coarse.view(fine_shape(coarse.shape, halve_time))
    fused = dispatch.usable_for_haar(field, grid)
    for fine_part, coarse_part in _groups(field, coarse, _group_bytes(field, fused, group_bytes)):
        if fused:
            dispatch.refine_group_(coarse_part, fine_part, halve_time=halve_time, exact=grid.exact)
        else:
            _refine_group_(coarse_part, fine_part, halve_time=halve_time, grid=grid)
    return field


def _group_bytes(field: Tensor, fused: bool, budget: int) -> int:
    return min(budget, dispatch.HAAR_GROUP_BYTES) if fused else STRIP_BYTES[field.device.type]


def _coarsen_group_(fine: Tensor, coarse: Tensor, halve_time: bool, grid: Grid) -> None:
    strips = _strips(coarse)
    source = fine.clone() if len(strips) > 1 else fine  # coarse rows overwrite fine rows that later strips need
    for top, bottom in strips:
        phases = _gather(_phases_of(source[:, 2 * top : 2 * bottom], halve_time))
        _rotate_(phases, grid)
        _scatter_(_join(coarse[:, top:bottom], halve_time), grid.saturate_(phases))


def _refine_group_(coarse: Tensor, fine: Tensor, halve_time: bool, grid: Grid) -> None:
    strips = _strips(coarse)
    source = coarse.clone() if len(strips) > 1 else coarse
    for top, bottom in strips:
        phases = _gather(_join(source[:, top:bottom], halve_time))
        _rotate_back_(phases, grid)
        _scatter_(_phases_of(fine[:, 2 * top : 2 * bottom], halve_time), grid.saturate_(phases))


def _strips(coarse: Tensor) -> list[tuple[int, int]]:
    """Returns the rows (first, last + 1) of strips of the coarse frames, about STRIP_BYTES of float32 each."""
    height = coarse.shape[1]
    rows = max(1, STRIP_BYTES[coarse.device.type] * height // (coarse.numel() * 4))
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def coarse_shape(shape: torch.Size, halve_time: bool) -> tuple[int, int, int, int]:
    frames, height, width, channels = shape
    if height % 2 or width % 2 or (halve_time and frames % 2):
        raise ValueError(f"a field of {frames} x {height} x {width} cannot be halved; pad T, H and W to multiples of 2 per level")
    return (frames // 2, height // 2, width // 2, 8 * channels) if halve_time else (frames, height // 2, width // 2, 4 * channels)


def fine_shape(shape: torch.Size, halve_time: bool) -> tuple[int, int, int, int]:
    frames, height, width, channels = shape
    return (2 * frames, 2 * height, 2 * width, channels // 8) if halve_time else (frames, 2 * height, 2 * width, channels // 4)


def _groups(field: Tensor, coarse: Tensor, group_bytes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the same memory, a few frames at a time, as fine and as coarse frames."""
    ratio = field.shape[0] // coarse.shape[0]
    frame_bytes = coarse[0].numel() * 4
    count = max(1, group_bytes // frame_bytes)
    for start in range(0, coarse.shape[0], count):
        stop = min(start + count, coarse.shape[0])
        yield field[ratio * start : ratio * stop], coarse[start:stop]


def _phases_of(fine: Tensor, halve_time: bool) -> Tensor:
    """Views (T, H, W, C) as (dt, dh, dw, t, h, w, C)."""
    frames, height, width, channels = fine.shape
    pair = 2 if halve_time else 1
    split = fine.view(frames // pair, pair, height // 2, 2, width // 2, 2, channels)
    return split.permute(1, 3, 5, 0, 2, 4, 6)


def _join(coarse: Tensor, halve_time: bool) -> Tensor:
    """Views (t, h, w, 8C) as (dt, dh, dw, t, h, w, C)."""
    frames, height, width, channels = coarse.shape
    pair = 2 if halve_time else 1
    split = coarse.view(frames, height, width, pair, 2, 2, channels // (4 * pair))
    return split.permute(3, 4, 5, 0, 1, 2, 6)


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
        low.add_((high * SHEAR).round_())
        high.sub_((low * ROTATION).round_())
        low.add_((high * SHEAR).round_())


def _rotate_back_(phases: Tensor, grid: Grid) -> None:
    if not grid.exact:
        _multiply_(phases, transposed=True)
        return
    for low, high in reversed(list(_pairs(phases))):
        low.sub_((high * SHEAR).round_())
        high.add_((low * ROTATION).round_())
        low.sub_((high * SHEAR).round_())


def _multiply_(phases: Tensor, transposed: bool) -> None:
    """Multiplies the phases by the orthonormal 8 x 8 (or 4 x 4) matrix of the transform: all axes at once."""
    axis = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=phases.dtype, device=phases.device) * ROTATION
    matrix = torch.kron(axis, axis)
    if phases.shape[0] == 2:
        matrix = torch.kron(axis, matrix)
    flat = phases.view(len(matrix), -1)
    flat.copy_((matrix.t() if transposed else matrix) @ flat)
