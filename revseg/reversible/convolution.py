"""The convolutions of a symmetric layer on one slab, each in the form that is fast on its device.

Slabs are channels-last, (t, h, w, C) contiguous. Convolutions are 'valid' along the padded axes of the slab (its halo is part
of the input) and zero-padded along the others. Two ways compute the same numbers:

- ``F.conv3d`` on a channels_last_3d view: cuDNN, and oneDNN for bfloat16;
- ``torch.mkldnn_convolution`` for float32 on CPU: F.conv3d takes a slow path there for few channels (15 times slower).

``revseg.reversible.wide`` treats fields whose channels outnumber the rank many times.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def as_field(slab: Tensor) -> Tensor:
    """(1, C, t, h, w) channels-last -> (t, h, w, C)."""
    return slab.permute(0, 2, 3, 4, 1)[0]


def as_batch(field: Tensor) -> Tensor:
    """(t, h, w, C) -> (1, C, t, h, w), the same memory, channels_last_3d.

    [None] comes first: the new axis then has the stride by which PyTorch recognises channels-last. Otherwise it copies.
    """
    return field[None].permute(0, 4, 1, 2, 3)


class Convolution:
    """Maps y -> K y for a kernel (out, in, k, k, k), in the kernel's dtype.

    padding: zeros added along (T, H, W); an axis with 0 loses k - 1 positions.
    """

    def __init__(self, kernel: Tensor, bias: Tensor | None = None) -> None:
        self.kernel = kernel.contiguous(memory_format=torch.channels_last_3d)
        self.bias = bias

    def __call__(self, field: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """(t, h, w, in) -> (t', h', w', out)."""
        kernel = self.kernel
        batch = as_batch(field)
        if field.device.type == "cpu" and field.dtype == torch.float32 and torch.backends.mkldnn.is_available():
            return as_field(torch.mkldnn_convolution(batch, kernel, self.bias, padding, (1, 1, 1), (1, 1, 1), 1))
        return as_field(F.conv3d(batch, kernel, self.bias, padding=padding))


def kernel_gradient(field: Tensor, adjoint: Tensor, size: int, padding: tuple[int, int, int]) -> Tensor:
    """d<adjoint, K field>/dK, float32 (float64 for float64 fields): (t, h, w, C), (t', h', w', rank) -> (rank, C, k, k, k)."""
    wide = torch.float64 if field.dtype == torch.float64 else torch.float32
    if field.device.type == "cpu":
        # One tap along T after another, frames as a batch of images. oneDNN's 3D kernel for bfloat16 writes out of bounds on
        # wide slabs of few frames (torch 2.15, AMX), and PyTorch's for float32 is 3 times slower than this.
        taps = [_gradient_of_tap(field, adjoint, size=size, shift=tap - padding[0], padding=padding[1:]) for tap in range(size)]
        return torch.stack(taps, 2).to(wide)
    kernel = adjoint.new_empty(()).expand(adjoint.shape[-1], field.shape[-1], size, size, size)  # only its shape is read
    _, gradient, _ = torch.ops.aten.convolution_backward(
        as_batch(adjoint), as_batch(field), kernel, None, (1, 1, 1), padding, (1, 1, 1), False, (0, 0, 0), 1, (False, True, False)
    )
    return gradient.to(wide)


def _gradient_of_tap(field: Tensor, adjoint: Tensor, size: int, shift: int, padding: tuple[int, ...]) -> Tensor:
    """Gradient of the kernel at one tap along T, from all t where both adjoint[t] and field[t + shift] exist."""
    first, last = max(0, -shift), min(len(adjoint), len(field) - shift)
    if last <= first:
        return adjoint.new_zeros(adjoint.shape[-1], field.shape[-1], size, size)
    return _gradient_2d(field[first + shift : last + shift], adjoint[first:last], size=size, padding=padding)


def _gradient_2d(field: Tensor, adjoint: Tensor, size: int, padding: tuple[int, ...]) -> Tensor:
    """Gradient of a 2D kernel, summed over t: (t, h, w, C), (t, h', w', rank) -> (rank, C, k, k)."""
    images, outputs = field.permute(0, 3, 1, 2), adjoint.permute(0, 3, 1, 2)
    kernel = adjoint.new_empty(()).expand(adjoint.shape[-1], field.shape[-1], size, size)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        outputs, images, kernel, None, (1, 1), padding, (1, 1), False, (0, 0), 1, (False, True, False)
    )
    return gradient
