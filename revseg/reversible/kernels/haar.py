"""Haar transform of a group of frames in one pass (see ``revseg.reversible.haar`` for the equations):

    coarsen    8 (or 4) phases of the fine pixels -> rotations along T, H, W in registers -> 8C (4C) channels
    refine     the inverse

On the grid both give the bits of the PyTorch path: the same shears in the same order, each product rounded
before it is used. Contraction is switched off here: an FMA would round t b and the sum at once, and
differently in the two directions. A group's fine and coarse frames fill the same memory, in another order:
the kernel reads a copy of the group. Integers beyond the container's range become LARGEST + 1, which the
range check sees (``Grid.saturate_``).
"""

# mypy: disallow-untyped-defs=False
from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from revseg.reversible.grid import LARGEST_INTEGER
from revseg.reversible.kernels.tile import HAAR_ELEMENTS, channel_block
from revseg.reversible.kernels.window import nearest, to_bfloat16

SHEAR = tl.constexpr(math.tan(math.pi / 8))
ROTATION = tl.constexpr(math.sin(math.pi / 4))


@triton.jit
def _rotate(low, high, EXACT: tl.constexpr):
    """Coarsens the pair (low, high) along one axis."""
    shear, rotation = tl.full([1, 1], SHEAR, low.dtype), tl.full([1, 1], ROTATION, low.dtype)
    if EXACT:
        low += nearest(high * shear)
        high -= nearest(low * rotation)
        low += nearest(high * shear)
        return low, high
    return (low + high) * rotation, (high - low) * rotation


@triton.jit
def _rotate_back(low, high, EXACT: tl.constexpr):
    """Refines the pair: the inverse of ``_rotate``."""
    shear, rotation = tl.full([1, 1], SHEAR, low.dtype), tl.full([1, 1], ROTATION, low.dtype)
    if EXACT:
        low -= nearest(high * shear)
        high += nearest(low * rotation)
        low -= nearest(high * shear)
        return low, high
    return (low - high) * rotation, (high + low) * rotation


@triton.jit
def _rotate_plane(p00, p01, p10, p11, EXACT: tl.constexpr):
    """Coarsens a plane of phases along H, then W; the digits of p are H, W."""
    p00, p10 = _rotate(p00, p10, EXACT)
    p01, p11 = _rotate(p01, p11, EXACT)
    p00, p01 = _rotate(p00, p01, EXACT)
    p10, p11 = _rotate(p10, p11, EXACT)
    return p00, p01, p10, p11


@triton.jit
def _rotate_plane_back(p00, p01, p10, p11, EXACT: tl.constexpr):
    """Refines a plane of phases along W, then H."""
    p10, p11 = _rotate_back(p10, p11, EXACT)
    p00, p01 = _rotate_back(p00, p01, EXACT)
    p01, p11 = _rotate_back(p01, p11, EXACT)
    p00, p10 = _rotate_back(p00, p10, EXACT)
    return p00, p01, p10, p11


@triton.jit
def _load_plane(memory, at, right, down, mask, WIDE: tl.constexpr):
    return (tl.load(memory + at, mask=mask, other=0).to(WIDE),
            tl.load(memory + at + right, mask=mask, other=0).to(WIDE),
            tl.load(memory + at + down, mask=mask, other=0).to(WIDE),
            tl.load(memory + at + down + right, mask=mask, other=0).to(WIDE))  # fmt: skip


@triton.jit
def _narrow(x, DTYPE: tl.constexpr, LARGEST: tl.constexpr, INTERPRETED: tl.constexpr):
    if LARGEST:
        x = tl.minimum(tl.maximum(x, -LARGEST - 1), LARGEST + 1)
    if DTYPE == tl.bfloat16:  # noqa: SIM300
        return to_bfloat16(x, INTERPRETED)
    return x.to(DTYPE)


@triton.jit
def _store_plane(
    memory, at, right, down, mask, p00, p01, p10, p11, DTYPE: tl.constexpr, LARGEST: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    tl.store(memory + at, _narrow(p00, DTYPE, LARGEST, INTERPRETED), mask=mask)
    tl.store(memory + at + right, _narrow(p01, DTYPE, LARGEST, INTERPRETED), mask=mask)
    tl.store(memory + at + down, _narrow(p10, DTYPE, LARGEST, INTERPRETED), mask=mask)
    tl.store(memory + at + down + right, _narrow(p11, DTYPE, LARGEST, INTERPRETED), mask=mask)


@triton.jit(do_not_specialize=["pixels", "height", "width"])
def _haar_kernel(
    source, target, pixels, height, width, C: tl.constexpr, BLOCK: tl.constexpr, BLOCK_C: tl.constexpr,
    HALVE_TIME: tl.constexpr, COARSEN: tl.constexpr, EXACT: tl.constexpr, LARGEST: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    """Transforms a group. height, width, pixels: those of the coarse frames; LARGEST: 0 where there is no range."""
    DTYPE: tl.constexpr = source.dtype.element_ty
    # int32 states exceed what float32 holds exactly.
    WIDE: tl.constexpr = tl.float64 if source.dtype.element_ty == tl.int32 else tl.float32
    PAIR: tl.constexpr = 2 if HALVE_TIME else 1
    blocks: tl.constexpr = (C + BLOCK_C - 1) // BLOCK_C
    pid = tl.program_id(0)
    pixel = pid // blocks * BLOCK + tl.arange(0, BLOCK)  # of a group: 32 bits are enough, and divide faster
    c = pid % blocks * BLOCK_C + tl.arange(0, BLOCK_C)
    mask = (pixel < pixels)[:, None] & (c < C)[None, :]
    line = pixel // width  # t * height + h
    t, h, w = (line // height).to(tl.int64), line % height, pixel % width
    row = 2 * width * C
    frame = row.to(tl.int64) * 2 * height
    fine = (PAIR * t * frame + h.to(tl.int64) * 2 * row + 2 * w * C)[:, None] + c[None, :]
    coarse = (pixel.to(tl.int64) * (4 * PAIR * C))[:, None] + c[None, :]
    if COARSEN:
        a00, a01, a10, a11 = _load_plane(source, fine, C, row, mask, WIDE)
        if HALVE_TIME:
            b00, b01, b10, b11 = _load_plane(source, fine + frame, C, row, mask, WIDE)
            a00, b00 = _rotate(a00, b00, EXACT)
            a01, b01 = _rotate(a01, b01, EXACT)
            a10, b10 = _rotate(a10, b10, EXACT)
            a11, b11 = _rotate(a11, b11, EXACT)
            b00, b01, b10, b11 = _rotate_plane(b00, b01, b10, b11, EXACT)
            second = coarse + 4 * C
            _store_plane(target, second, C, 2 * C, mask, b00, b01, b10, b11, DTYPE, LARGEST, INTERPRETED)
        a00, a01, a10, a11 = _rotate_plane(a00, a01, a10, a11, EXACT)
        _store_plane(target, coarse, C, 2 * C, mask, a00, a01, a10, a11, DTYPE, LARGEST, INTERPRETED)
    else:
        a00, a01, a10, a11 = _load_plane(source, coarse, C, 2 * C, mask, WIDE)
        a00, a01, a10, a11 = _rotate_plane_back(a00, a01, a10, a11, EXACT)
        if HALVE_TIME:
            b00, b01, b10, b11 = _load_plane(source, coarse + 4 * C, C, 2 * C, mask, WIDE)
            b00, b01, b10, b11 = _rotate_plane_back(b00, b01, b10, b11, EXACT)
            a00, b00 = _rotate_back(a00, b00, EXACT)
            a01, b01 = _rotate_back(a01, b01, EXACT)
            a10, b10 = _rotate_back(a10, b10, EXACT)
            a11, b11 = _rotate_back(a11, b11, EXACT)
            _store_plane(target, fine + frame, C, row, mask, b00, b01, b10, b11, DTYPE, LARGEST, INTERPRETED)
        _store_plane(target, fine, C, row, mask, a00, a01, a10, a11, DTYPE, LARGEST, INTERPRETED)


def coarsen_group_(fine: Tensor, coarse: Tensor, halve_time: bool, exact: bool) -> None:
    """Coarsens frames (T, H, W, C) -> ``coarse`` (T/2 or T, H/2, W/2, 8C or 4C), which may be the same memory."""
    _launch(fine, coarse, coarse=coarse, channels=fine.shape[-1], halve_time=halve_time, exact=exact, down=True)


def refine_group_(coarse: Tensor, fine: Tensor, halve_time: bool, exact: bool) -> None:
    """Refines ``coarse`` -> ``fine``, which may be the same memory."""
    _launch(coarse, fine, coarse=coarse, channels=fine.shape[-1], halve_time=halve_time, exact=exact, down=False)


def _launch(source: Tensor, target: Tensor, coarse: Tensor, channels: int, halve_time: bool, exact: bool,
            down: bool) -> None:  # fmt: skip
    frames, height, width = coarse.shape[:3]
    block_c = channel_block(channels, 128) if channels >= 16 else triton.next_power_of_2(channels)
    block = HAAR_ELEMENTS // block_c
    pixels = frames * height * width
    largest = 0 if target.is_floating_point() else LARGEST_INTEGER[target.dtype]
    programs = triton.cdiv(pixels, block) * triton.cdiv(channels, block_c)
    with torch.cuda.device_of(source):
        _haar_kernel[(programs,)](
            source.clone(memory_format=torch.contiguous_format), target, pixels, height, width, C=channels,
            BLOCK=block, BLOCK_C=block_c, HALVE_TIME=halve_time, COARSEN=down, EXACT=exact, LARGEST=largest,
            INTERPRETED=not source.is_cuda, num_warps=4, enable_fp_fusion=False)  # fmt: skip
