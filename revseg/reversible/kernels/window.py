"""Device functions that the kernels share: positions of a tile, windows along W, products, rounding."""

# mypy: disallow-untyped-defs=False
from __future__ import annotations

import triton
import triton.language as tl

# Triton compiles a kernel anew where an integer is 1 or a multiple of 16. Sizes and slabs change with
# every video and gain nothing from it: alignment follows from the channels.
EXTENT = ("frames", "height", "width", "top", "bottom", "origin_t", "origin_h", "rows")


@triton.jit
def tile_positions(first, top, left, TILE_T: tl.constexpr, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """(t, h, w) of the positions of a tile, W fastest."""
    m = tl.arange(0, TILE_T * TILE_H * TILE_W)
    return first + m // (TILE_H * TILE_W), top + m // TILE_W % TILE_H, left + m % TILE_W


@triton.jit
def load_window(memory, line, w, inside, width, CHANNELS: tl.constexpr):
    """Loads the values at w - 1, w, w + 1 side by side, zero outside: (M,) -> (M, 4 CHANNELS), the fourth slot zero.

    line: index of the row (t, h) in memory. Channels-last memory makes the window one contiguous run: one
    product with 3 CHANNELS terms instead of three with CHANNELS.
    """
    k = tl.arange(0, 4 * CHANNELS)
    column = w[:, None] - 1 + (k // CHANNELS)[None, :]
    valid = inside[:, None] & (column >= 0) & (column < width) & (k < 3 * CHANNELS)[None, :]
    offset = ((line * width + w - 1) * CHANNELS)[:, None] + k[None, :]
    return tl.load(memory + offset, mask=valid, other=0)


@triton.jit
def to_bfloat16(x, INTERPRETED: tl.constexpr):
    """Converts container -> bfloat16, rounded half to even as by ``Tensor.to``: integers pass through float32.

    Triton's interpreter cuts the low bits off instead: there they are rounded away first.
    """
    x = x.to(tl.float32)
    if INTERPRETED:
        bits = x.to(tl.uint32, bitcast=True)
        x = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).to(tl.float32, bitcast=True)
    return x.to(tl.bfloat16)


@triton.jit
def product(a, b, total, INTERPRETED: tl.constexpr):
    """Returns total + a b for bfloat16 a and b, summed in float32.

    Triton's interpreter keeps bfloat16 as raw 16-bit words and would multiply those.
    """
    if INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total)
    return tl.dot(a, b, total)


@triton.jit
def nearest(x):
    """Rounds half to even, as torch.round.

    Adding 1.5 * 2^23 leaves no bits for a fraction, so the sum's own rounding does it; without reassociation,
    which Triton never allows, no compiler may cancel the two constants. Above 2^22 the trick ends: those
    values, a force beyond every range, stay as they are, the same in both directions. The interpreter
    does not know calls of libdevice.
    """
    if x.dtype == tl.float64:
        return tl.where(tl.abs(x) < 2.0**51, (x + 1.5 * 2.0**52) - 1.5 * 2.0**52, x)
    return tl.where(tl.abs(x) < 2.0**22, (x + 1.5 * 2.0**23) - 1.5 * 2.0**23, x)
