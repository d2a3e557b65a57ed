"""Hidden activations of a slab, read straight from the whole field:

    hidden    a = relu(K y + b)              y in the state's container
    gated     d = (a > 0) K u                u in the adjoint's container

K y is an implicit GEMM: the positions of a tile are the rows, the channels of one neighbour the inner
dimension. K has few rows, and a product that is only 16 columns wide would be bound by reading y 27 times.
Therefore the three taps along W are three groups of columns: y is read 9 times, and their sums, each one
column of the volume apart, are shifted together once at the end. A tile computes 2 columns more than it
keeps. Fields of 4 or 8 channels are too thin for an inner dimension: there the taps along W lie within it, as
one contiguous window.

The workspace covers the slab and 1 position around it along T and H. What lies outside the field is neither
written nor read.
"""

# mypy: disallow-untyped-defs=False
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from revseg.reversible.force.slab import Slab
from revseg.reversible.kernels.tile import Tile
from revseg.reversible.kernels.window import EXTENT, load_window, product, tile_positions, to_bfloat16


@triton.jit(do_not_specialize=[*EXTENT, "first", "last"])
def _hidden_kernel(
    field, weight, bias, gate, hidden, frames, height, width, first, last, top, bottom, origin_t, origin_h,
    rows, C: tl.constexpr, R: tl.constexpr, BLOCK_C: tl.constexpr, TILE_T: tl.constexpr, TILE_H: tl.constexpr,
    TILE_W: tl.constexpr, GATED: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    across, down = tl.cdiv(width, TILE_W - 2), tl.cdiv(bottom - top, TILE_H)
    t, h, w = tile_positions(
        first + pid // (across * down) * TILE_T, top + pid // across % down * TILE_H,
        pid % across * (TILE_W - 2) - 1, TILE_T, TILE_H, TILE_W)  # fmt: skip
    M: tl.constexpr = TILE_T * TILE_H * TILE_W
    r = tl.arange(0, R)
    if C < 16:
        value = tl.zeros([M, R], tl.float32)
        k = tl.arange(0, 4 * C)
        for tap in tl.range(9):
            y_t, y_h = t + tap // 3 - 1, h + tap % 3 - 1
            inside = (y_t >= 0) & (y_t < frames) & (y_h >= 0) & (y_h < height)
            y = load_window(field, y_t.to(tl.int64) * height + y_h, w, inside, width, C)
            taps = tl.load(weight + (tap * 4 * C + k)[:, None] * R + r[None, :])
            value = product(to_bfloat16(y, INTERPRETED), taps, value, INTERPRETED)
    else:
        total = tl.zeros([M, 4 * R], tl.float32)
        n = tl.arange(0, 4 * R)
        for step in tl.range(9 * (C // BLOCK_C)):
            tap, c = step % 9, step // 9 * BLOCK_C + tl.arange(0, BLOCK_C)
            y_t, y_h = t + tap // 3 - 1, h + tap % 3 - 1
            inside = (y_t >= 0) & (y_t < frames) & (y_h >= 0) & (y_h < height) & (w >= 0) & (w < width)
            offset = ((y_t.to(tl.int64) * height + y_h) * width + w) * C
            y = tl.load(field + offset[:, None] + c[None, :], mask=inside[:, None], other=0)
            taps = tl.load(weight + (tap * C + c)[:, None] * (4 * R) + n[None, :])
            total = product(to_bfloat16(y, INTERPRETED), taps, total, INTERPRETED)
        # out(w) = sum over taps of total(w + tap - 1, tap); the fourth group of columns is zero.
        source = tl.arange(0, M)[:, None] + (n // R - 1)[None, :]
        source = tl.minimum(tl.maximum(source, 0), M - 1)
        value = tl.sum(tl.reshape(tl.gather(total, source, 0), [M, 4, R]), 1)
    column = tl.arange(0, M) % TILE_W
    keep = (column > 0) & (column < TILE_W - 1) & (w < width) & (h < bottom) & (t < last)
    target = (((t - origin_t).to(tl.int64) * rows + h - origin_h) * width + w) * R
    target = target[:, None] + r[None, :]
    if GATED:
        open_gate = tl.load(gate + target, mask=keep[:, None], other=0).to(tl.float32) > 0
        value = tl.where(open_gate, value, 0.0)
    else:
        value += tl.load(bias + r).to(tl.float32)[None, :]
        value = tl.where(value < 0, 0.0, value)  # a maximum would swallow nan
    tl.store(hidden + target, to_bfloat16(value, INTERPRETED), mask=keep[:, None])


def workspace(slab: Slab, width: int, rank: int, device: torch.device) -> Tensor:
    """Uninitialised memory for the hidden activations of a slab and of 1 position around it along T and H."""
    shape = (slab.stop - slab.start + 2, slab.bottom - slab.top + 2, width, rank)
    return torch.empty(shape, dtype=torch.bfloat16, device=device)


def hidden(field: Tensor, weight: Tensor, bias: Tensor, slab: Slab, tile: Tile) -> Tensor:
    """Computes relu(K y + b): field (T, H, W, C) -> workspace, bfloat16."""
    return _launch(field, weight, bias=bias, gate=None, slab=slab, tile=tile)


def gated(field: Tensor, weight: Tensor, gate: Tensor, slab: Slab, tile: Tile) -> Tensor:
    """Computes (gate > 0) K u: field (T, H, W, C), workspace -> workspace."""
    return _launch(field, weight, bias=None, gate=gate, slab=slab, tile=tile)


def forward_weight(kernel: Tensor, rank: int) -> Tensor:
    """Lays out K (r, C, 3, 3, 3) in bfloat16, filled to ``rank`` rows: (9, C, 4 rank), thin fields (9, 4 C, rank)."""
    rows, channels = kernel.shape[:2]
    weight = kernel.new_zeros((9, channels, 4, rank), dtype=torch.bfloat16)
    weight[:, :, :3, :rows] = kernel.flatten(2, 3).permute(2, 1, 3, 0)
    if channels < 16:
        return weight.transpose(1, 2).reshape(9, 4 * channels, rank)
    return weight.view(9, channels, 4 * rank)


def _launch(field: Tensor, weight: Tensor, bias: Tensor | None, gate: Tensor | None, slab: Slab,
            tile: Tile) -> Tensor:  # fmt: skip
    frames, height, width, channels = field.shape
    rank = weight.shape[-1] if channels < 16 else weight.shape[-1] // 4
    out = workspace(slab, width=width, rank=rank, device=field.device)
    first, last = max(slab.start - 1, 0), min(slab.stop + 1, frames)
    top, bottom = max(slab.top - 1, 0), min(slab.bottom + 1, height)
    programs = (triton.cdiv(width, tile.width - 2) * triton.cdiv(bottom - top, tile.height)
                * triton.cdiv(last - first, tile.frames))  # fmt: skip
    _hidden_kernel[(programs,)](
        field, weight, weight if bias is None else bias, weight if gate is None else gate, out,
        frames, height, width, first, last, top, bottom, slab.start - 1, slab.top - 1, out.shape[1],
        C=channels, R=rank, BLOCK_C=tile.channels, TILE_T=tile.frames, TILE_H=tile.height, TILE_W=tile.width,
        GATED=gate is not None, INTERPRETED=not field.is_cuda,
        num_warps=tile.warps, num_stages=tile.stages)  # fmt: skip
    return out
