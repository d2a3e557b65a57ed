"""Gradient of the loss in K, from both places of K in f = K^T relu(K y + b), in one pass:

    g[r, c, d] = sum over positions p of  a(p)[r] u(p + d)[c] + d(p)[r] y(p + d)[c]

With q = p + d the wide fields u and y are read at q alone and the thin workspaces a and d at q - d, three
taps along W as one contiguous window: rows of the product are (tap along W, r), columns c, the inner
dimension positions q. One program takes the 3 taps along H and one along T of a run of tiles. Sums are
float32: per program, then over programs, in a fixed order.
"""

# mypy: disallow-untyped-defs=False
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from revseg.reversible.force.slab import Slab
from revseg.reversible.kernels.tile import GRADIENT_PROGRAMS, Tile
from revseg.reversible.kernels.window import EXTENT, load_window, product, tile_positions, to_bfloat16


@triton.jit
def _add_row(
    total, a, d, u, y, line, h, w, inside, height, width, bottom, R: tl.constexpr, INTERPRETED: tl.constexpr
):  # fmt: skip
    """Adds the taps along W of row h of a and d; line: index of row 0 of their frame in the workspace."""
    inside = inside & (h >= 0) & (h < height) & (h <= bottom)
    total = product(tl.trans(load_window(a, line + h, w, inside, width, R)), u, total, INTERPRETED)
    return product(tl.trans(load_window(d, line + h, w, inside, width, R)), y, total, INTERPRETED)


@triton.jit(do_not_specialize=[*EXTENT, "start", "stop"])
def _gradient_kernel(
    state, adjoint, a, d, partial, frames, height, width, start, stop, top, bottom, origin_t, origin_h, rows,
    RUN: tl.constexpr, C: tl.constexpr, R: tl.constexpr, BLOCK_C: tl.constexpr, TILE_T: tl.constexpr,
    TILE_H: tl.constexpr, TILE_W: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    blocks: tl.constexpr = (C + BLOCK_C - 1) // BLOCK_C
    c = pid % blocks * BLOCK_C + tl.arange(0, BLOCK_C)
    tap = pid // blocks % 3
    part = pid // (3 * blocks)
    across, down = tl.cdiv(width, TILE_W), tl.cdiv(bottom - top, TILE_H)
    above = tl.zeros([4 * R, BLOCK_C], tl.float32)
    level = tl.zeros([4 * R, BLOCK_C], tl.float32)
    below = tl.zeros([4 * R, BLOCK_C], tl.float32)
    for step in tl.range(RUN):
        # Down the rows first: the next tile finds this one's windows in the cache. Tiles after the last one
        # lie behind ``stop``, where u and y are zero.
        tile = part * RUN + step
        t, h, w = tile_positions(
            start + tile // (across * down) * TILE_T, top + tile % down * TILE_H,
            tile // down % across * TILE_W, TILE_T, TILE_H, TILE_W)  # fmt: skip
        mine = ((w < width) & (h < bottom) & (t < stop))[:, None] & (c < C)[None, :]
        at = (((t.to(tl.int64) * height + h) * width + w) * C)[:, None] + c[None, :]
        u = to_bfloat16(tl.load(adjoint + at, mask=mine, other=0), INTERPRETED)
        y = to_bfloat16(tl.load(state + at, mask=mine, other=0), INTERPRETED)
        p_t = t - tap + 1
        seen = (p_t >= 0) & (p_t < frames) & (p_t <= stop)
        line = (p_t - origin_t).to(tl.int64) * rows - origin_h
        above = _add_row(above, a, d, u, y, line, h + 1, w, seen, height, width, bottom, R, INTERPRETED)
        level = _add_row(level, a, d, u, y, line, h, w, seen, height, width, bottom, R, INTERPRETED)
        below = _add_row(below, a, d, u, y, line, h - 1, w, seen, height, width, bottom, R, INTERPRETED)
    k = tl.arange(0, 4 * R)
    valid = (c < C)[None, :]
    to = partial + ((part * 3 + tap).to(tl.int64) * 12 * R + k)[:, None] * C + c[None, :]
    tl.store(to, above, mask=valid)
    tl.store(to + 4 * R * C, level, mask=valid)
    tl.store(to + 8 * R * C, below, mask=valid)


def kernel_gradient(state: Tensor, adjoint: Tensor, a: Tensor, d: Tensor, slab: Slab, tile: Tile) -> Tensor:
    """d<adjoint, K^T a>/dK + d<d, K state>/dK over a slab's positions q: (padded rank, C, 3, 3, 3), float32.

    Slabs partition the positions q, and a and d reach 1 position beyond: the sum over slabs is the gradient.
    """
    frames, height, width, channels = state.shape
    rank, blocks = a.shape[-1], triton.cdiv(channels, tile.channels)
    tiles = (triton.cdiv(width, tile.width) * triton.cdiv(slab.bottom - slab.top, tile.height)
             * triton.cdiv(slab.stop - slab.start, tile.frames))  # fmt: skip
    # A power of two, known to the compiler: sizes and slabs then share a few compiled kernels.
    run = triton.next_power_of_2(triton.cdiv(tiles, max(1, GRADIENT_PROGRAMS // (3 * blocks))))
    parts = triton.cdiv(tiles, run)
    partial = torch.empty((parts, 3, 3, 4, rank, channels), dtype=torch.float32, device=state.device)
    _gradient_kernel[(parts * 3 * blocks,)](
        state, adjoint, a, d, partial, frames, height, width, slab.start, slab.stop, slab.top, slab.bottom,
        slab.start - 1, slab.top - 1, a.shape[1], RUN=run, C=channels, R=rank, BLOCK_C=tile.channels,
        TILE_T=tile.frames, TILE_H=tile.height, TILE_W=tile.width, INTERPRETED=not state.is_cuda,
        num_warps=tile.warps, num_stages=tile.stages)  # fmt: skip
    # A window starts at q - 1, which is tap 2 along W; its fourth slot is empty.
    return partial.sum(0)[:, :, :3].flip(2).permute(3, 4, 0, 1, 2)
