"""One kick of the recurrence on a slab, in one pass over its memory:

    exact       partner <- 2 curr - partner - round(K^T a)      a: hidden activations, K^T scaled by h^2 / unit
    floating    partner <- partner - sign K^T a                 (see ``revseg.reversible.state``)

K^T a is an implicit GEMM with the flipped kernel over the workspace of the hidden kernel; its epilogue
rounds, updates ``partner`` where it lies and finds the largest magnitude.

The rounded term must be the same bits forward and backward, and it is: the same code computes it from the
same a. Contraction of products and sums (FMA) does not matter: all products are made before the rounding, and
what follows is exact on integers.
"""

# mypy: disallow-untyped-defs=False
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from revseg.reversible.force.slab import Slab
from revseg.reversible.kernels.tile import Tile
from revseg.reversible.kernels.window import (
    EXTENT,
    load_window,
    nearest,
    product,
    tile_positions,
    to_bfloat16,
)


@triton.jit(do_not_specialize=[*EXTENT, "start", "stop", "sign"])
def _leapfrog_kernel(
    partner, curr, hidden, weight, magnitude, sign, frames, height, width, start, stop, top, bottom, origin_t,
    origin_h, rows, C: tl.constexpr, R: tl.constexpr, BLOCK_C: tl.constexpr, TILE_T: tl.constexpr,
    TILE_H: tl.constexpr, TILE_W: tl.constexpr, EXACT: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    blocks: tl.constexpr = (C + BLOCK_C - 1) // BLOCK_C
    tile = pid // blocks
    across, down = tl.cdiv(width, TILE_W), tl.cdiv(bottom - top, TILE_H)
    t, h, w = tile_positions(
        start + tile // (across * down) * TILE_T, top + tile // across % down * TILE_H,
        tile % across * TILE_W, TILE_T, TILE_H, TILE_W)  # fmt: skip
    c = pid % blocks * BLOCK_C + tl.arange(0, BLOCK_C)
    k = tl.arange(0, 4 * R)
    force = tl.zeros([TILE_T * TILE_H * TILE_W, BLOCK_C], tl.float32)
    for tap in tl.range(9):
        a_t, a_h = t + tap // 3 - 1, h + tap % 3 - 1
        inside = (a_t >= 0) & (a_t < frames) & (a_h >= 0) & (a_h < height)
        # A last, partial tile reaches beyond the slab, and must not read behind the workspace.
        inside = inside & (a_t <= stop) & (a_h <= bottom)
        line = (a_t - origin_t).to(tl.int64) * rows + a_h - origin_h
        a = load_window(hidden, line, w, inside, width, R)
        taps = tl.load(weight + (tap * 4 * R + k)[:, None] * (blocks * BLOCK_C) + c[None, :])
        force = product(a, taps, force, INTERPRETED)
    keep = ((w < width) & (h < bottom) & (t < stop))[:, None] & (c < C)[None, :]
    at = (((t.to(tl.int64) * height + h) * width + w) * C)[:, None] + c[None, :]
    before = tl.load(partner + at, mask=keep, other=0)
    if EXACT:
        now = tl.load(curr + at, mask=keep, other=0)
        force = nearest(force)
        if before.dtype == tl.float32:
            following = 2 * now - before - force
        else:
            following = 2 * now.to(tl.int32) - before.to(tl.int32) - force.to(tl.int32)
        # A force that is nan or beyond int32 has no place on a grid: report an infinite magnitude.
        size = tl.where(tl.abs(force) < 2.0**30, tl.abs(following.to(tl.float32)), float("inf"))
        size = tl.where(size == size, size, float("inf"))
        tl.store(magnitude + pid, tl.max(tl.max(tl.where(keep, size, 0.0), 1), 0))
    else:
        following = before.to(tl.float32) - sign * force
    if before.dtype == tl.bfloat16:
        following = to_bfloat16(following, INTERPRETED)
    tl.store(partner + at, following.to(before.dtype), mask=keep)


def leapfrog_(partner: Tensor, curr: Tensor, hidden: Tensor, weight: Tensor, slab: Slab, tile: Tile,
              exact: bool, sign: int = 1) -> Tensor | None:  # fmt: skip
    """Kicks the slab of ``partner`` (T, H, W, C), in place; returns the largest magnitude, 0-d, where ``exact``.

    The magnitude is reduced in two stages, so it does not depend on the order in which programs end.
    """
    frames, height, width, channels = partner.shape
    blocks = triton.cdiv(channels, tile.channels)
    programs = (triton.cdiv(width, tile.width) * triton.cdiv(slab.bottom - slab.top, tile.height)
                * triton.cdiv(slab.stop - slab.start, tile.frames) * blocks)  # fmt: skip
    magnitude = torch.empty(programs if exact else 1, dtype=torch.float32, device=partner.device)
    _leapfrog_kernel[(programs,)](
        partner, curr, hidden, weight, magnitude, sign, frames, height, width, slab.start, slab.stop, slab.top,
        slab.bottom, slab.start - 1, slab.top - 1, hidden.shape[1], C=channels, R=hidden.shape[-1],
        BLOCK_C=tile.channels, TILE_T=tile.frames, TILE_H=tile.height, TILE_W=tile.width, EXACT=exact,
        INTERPRETED=not partner.is_cuda, num_warps=tile.warps, num_stages=tile.stages)  # fmt: skip
    return magnitude.amax() if exact else None


def transposed_weight(kernel: Tensor, rank: int) -> Tensor:
    """Lays out the scaled K (r, C, 3, 3, 3), flipped, in bfloat16: (9, 4 rank, C), C at least 16."""
    rows, channels = kernel.shape[:2]
    weight = kernel.new_zeros((9, 4, rank, max(16, channels)), dtype=torch.bfloat16)
    weight[:, :3, :rows, :channels] = kernel.flip(2, 3, 4).flatten(2, 3).permute(2, 3, 0, 1)
    return weight.view(9, 4 * rank, -1)
