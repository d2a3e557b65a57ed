"""The gradient of a kernel, d<adjoint, K field>/dK, in the form that is fast on its device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from revseg.reversible.grid import pieces

WIDE = 64
"""Channels from which on matrix products are faster in float32 on a CPU: 1.7 times at 64 and at 512 channels, half as fast at 32
(rank 16, AVX2)."""
COLUMNS_BYTES = 4 << 20
"""Bytes of the neighbourhoods that are multiplied at a time: about what a core's cache holds."""


def as_batch(field: Tensor) -> Tensor:
    """(t, h, w, C) -> (1, C, t, h, w), the same memory, channels_last_3d.

    [None] comes first: the new axis then has the stride by which PyTorch recognises channels-last. Otherwise it copies.
    """
    return field[None].permute(0, 4, 1, 2, 3)


def kernel_gradient(field: Tensor, adjoint: Tensor, size: tuple[int, int, int], padding: tuple[int, int, int]) -> Tensor:
    """d<adjoint, K field>/dK, float32 (float64 for float64 fields): (t, h, w, C), (t', h', w', rank) -> (rank, C, *size)."""
    wide = torch.float64 if field.dtype == torch.float64 else torch.float32
    if field.device.type == "cpu" and field.dtype == torch.float32 and field.shape[-1] >= WIDE:
        return _gradient_by_product(field, adjoint, size=size, padding=padding)
    if field.device.type == "cpu":
        # One tap along T after another, frames as a batch of images. oneDNN's 3D kernel for bfloat16 writes out of bounds on
        # wide slabs of few frames (torch 2.15, AMX), and PyTorch's for float32 is 3 times slower than this.
        taps = [
            _gradient_of_tap(field, adjoint, size=size[1:], shift=tap - padding[0], padding=padding[1:]) for tap in range(size[0])
        ]
        return torch.stack(taps, 2).to(wide)
    kernel = adjoint.new_empty(()).expand(adjoint.shape[-1], field.shape[-1], *size)  # only its shape is read
    _, gradient, _ = torch.ops.aten.convolution_backward(
        as_batch(adjoint), as_batch(field), kernel, None, (1, 1, 1), padding, (1, 1, 1), False, (0, 0, 0), 1, (False, True, False)
    )
    return gradient.to(wide)


def bias_gradient(adjoint: Tensor) -> Tensor:
    """d<adjoint, K y + b>/db, float32 (float64 for float64 fields): (t, h, w, rank) -> (rank,)."""
    wide = torch.float64 if adjoint.dtype == torch.float64 else torch.float32
    if adjoint.device.type != "cpu":
        return adjoint.sum((0, 1, 2), dtype=wide)
    # Piece by piece: PyTorch's sum in another dtype begins with a copy of all that it sums.
    return torch.stack([piece.sum((0, 1, 2), dtype=wide) for (piece,) in pieces(adjoint)]).sum(0)


def _gradient_by_product(field: Tensor, adjoint: Tensor, size: tuple[int, int, int], padding: tuple[int, int, int]) -> Tensor:
    """The sum over all q of adjoint(q - d) field(q), for all taps d at once: neighbourhoods of a few rows times these."""
    channels, rank = field.shape[-1], adjoint.shape[-1]
    reach = [side - 1 - zeros for side, zeros in zip(size, padding, strict=True)]
    framed = F.pad(adjoint, (0, 0, *(frame for axis in (2, 1, 0) for frame in (reach[axis],) * 2))).contiguous()
    over_t, over_h, over_w, _ = framed.stride()
    length, (frames, height, width) = math.prod(size) * rank, field.shape[:3]
    rows = max(1, COLUMNS_BYTES // (width * length * framed.element_size()))
    total = field.new_zeros(length, channels)
    for frame in range(frames):
        for top in range(0, height, rows):
            part = field[frame, top : top + rows]
            shape = (len(part), width, size[0], size[1], size[2] * rank)
            columns = framed[frame:, top:].as_strided(shape, (over_h, over_w, over_t, over_h, 1))
            total.addmm_(columns.reshape(-1, length).t(), part.reshape(-1, channels))
    return total.view(*size, rank, channels).flip(0, 1, 2).permute(3, 4, 0, 1, 2)


def _gradient_of_tap(field: Tensor, adjoint: Tensor, size: tuple[int, ...], shift: int, padding: tuple[int, ...]) -> Tensor:
    """Gradient of the kernel at one tap along T, from all t where both adjoint[t] and field[t + shift] exist."""
    first, last = max(0, -shift), min(len(adjoint), len(field) - shift)
    if last <= first:
        return adjoint.new_zeros(adjoint.shape[-1], field.shape[-1], *size)
    return _gradient_2d(field[first + shift : last + shift], adjoint[first:last], size=size, padding=padding)


def _gradient_2d(field: Tensor, adjoint: Tensor, size: tuple[int, ...], padding: tuple[int, ...]) -> Tensor:
    """Gradient of a 2D kernel, summed over t: (t, h, w, C), (t, h', w', rank) -> (rank, C, *size)."""
    images, outputs = field.permute(0, 3, 1, 2), adjoint.permute(0, 3, 1, 2)
    kernel = adjoint.new_empty(()).expand(adjoint.shape[-1], field.shape[-1], *size)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        outputs, images, kernel, None, (1, 1), padding, (1, 1), False, (0, 0), 1, (False, True, False)
    )
    return gradient
