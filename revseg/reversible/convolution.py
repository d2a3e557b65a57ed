"""The convolutions of a symmetric layer on one slab, each in the form that is fast where it runs.

Slabs are channels-last, (t, h, w, C) contiguous. Convolutions are 'valid' along the padded axes of the slab (its halo is part
of the input) and zero-padded along the others. Three ways compute the same numbers:

- ``F.conv3d`` on a channels_last_3d view: cuDNN, and oneDNN for bfloat16;
- ``torch.mkldnn_convolution`` for float32 on CPU: F.conv3d takes a slow path there for few channels (15 times slower);
- one matrix product and 27 shifted sums where C is far larger than the rank. The implicit GEMM is then slower, and
  oneDNN's bfloat16 kernels hang for minutes at 4096 channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

GEMM_CHANNELS = 1024


def as_field(slab: Tensor) -> Tensor:
    """(1, C, t, h, w) channels-last -> (t, h, w, C)."""
    return slab.permute(0, 2, 3, 4, 1)[0]


def as_batch(field: Tensor) -> Tensor:
    """(t, h, w, C) -> (1, C, t, h, w), the same memory, channels_last_3d.

    [None] comes first: it then gets the stride by which PyTorch recognises channels-last, without which it copies.
    """
    return field[None].permute(0, 4, 1, 2, 3)


def uses_matrix_product(channels: int, field: Tensor) -> bool:
    """Which path a kernel takes: a rule of shape and device alone, so that every pass takes the same one."""
    return channels >= GEMM_CHANNELS and field.dtype != torch.float64


class Convolution:
    """y -> K y for a kernel (out, in, k, k, k), in the kernel's dtype.

    padding: zeros added along (T, H, W); an axis with 0 loses k - 1 positions.
    """

    def __init__(self, kernel: Tensor, bias: Tensor | None = None) -> None:
        self.kernel = kernel.contiguous(memory_format=torch.channels_last_3d)
        self.bias = bias

    def __call__(self, field: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """(t, h, w, in) -> (t', h', w', out)."""
        kernel = self.kernel
        if uses_matrix_product(kernel.shape[1], field):
            return _product_then_shifts(field, kernel, self.bias, padding)
        if uses_matrix_product(kernel.shape[0], field):
            return _shifts_then_product(field, kernel, padding)
        batch = as_batch(field)
        if field.device.type == "cpu" and field.dtype == torch.float32:
            return as_field(torch.mkldnn_convolution(batch, kernel, self.bias, padding, (1, 1, 1), (1, 1, 1), 1))
        return as_field(F.conv3d(batch, kernel, self.bias, padding=padding))


def kernel_gradient(field: Tensor, adjoint: Tensor, size: int, padding: tuple[int, int, int]) -> Tensor:
    """d<adjoint, K field>/dK, float32 (float64 for float64 fields): (t, h, w, C), (t', h', w', rank) -> (rank, C, k, k, k)."""
    channels, rank = field.shape[-1], adjoint.shape[-1]
    wide = torch.float64 if field.dtype == torch.float64 else torch.float32
    if uses_matrix_product(channels, field):
        # <adjoint, K y> = sum over offsets d of adjoint(p) y(p + d): gather the small side, one product with the large one.
        spread = tuple(size - 1 - p for p in padding)
        columns = _columns(adjoint, size, spread).flip(1)  # adjoint(q - d) beside y(q)
        product = columns.reshape(len(columns), -1).t() @ field.reshape(-1, channels)
        return product.to(wide).view(size, size, size, rank, channels).permute(3, 4, 0, 1, 2)
    inputs, outputs = as_batch(field), as_batch(adjoint)
    if field.device.type == "cpu" and field.dtype == torch.float32 and padding[0] == 0 and adjoint.shape[0] % 2 == 0:
        inputs, outputs = _two_windows(inputs, size), _two_windows(outputs, 1)
    stand_in = adjoint.new_empty(()).expand(rank, channels, size, size, size)  # only its shape is read
    _, gradient, _ = torch.ops.aten.convolution_backward(
        outputs, inputs, stand_in, None, (1, 1, 1), padding, (1, 1, 1), False, (0, 0, 0), 1, (False, True, False))
    return gradient.to(wide)


def _two_windows(batch: Tensor, size: int) -> Tensor:
    """Split T into two windows that overlap by the kernel's halo, as a batch of 2.

    PyTorch takes oneDNN for a float32 weight gradient only where the batch is above 1 or the slab is large.
    """
    half = (batch.shape[2] - size + 1) // 2
    shape = (2, batch.shape[1], half + size - 1, *batch.shape[3:])
    strides = (half * batch.stride(2), *batch.stride()[1:])
    return batch.as_strided(shape, strides, batch.storage_offset())


def _columns(field: Tensor, size: int, padding: tuple[int, int, int]) -> Tensor:
    """Neighbourhoods: (t, h, w, c) -> (t' h' w', k^3, c), offsets in the order of the kernel."""
    padded = F.pad(field, (0, 0, *(p for pad in reversed(padding) for p in (pad, pad)))).contiguous()
    frames, height, width, channels = padded.shape
    shape = (frames - size + 1, height - size + 1, width - size + 1)
    over_t, over_h, over_w, _ = padded.stride()
    windows = padded.as_strided((*shape, size, size, size * channels), (over_t, over_h, over_w, over_t, over_h, 1))
    return windows.reshape(shape[0] * shape[1] * shape[2], size**3, channels)


def _shifts_then_product(field: Tensor, kernel: Tensor, padding: tuple[int, int, int]) -> Tensor:
    out, channels, size = kernel.shape[:3]
    columns = _columns(field, size, padding)
    matrix = kernel.permute(2, 3, 4, 1, 0).reshape(-1, out)
    frames, height, width = (n + 2 * p - size + 1 for n, p in zip(field.shape[:3], padding, strict=True))
    return (columns.view(-1, size**3 * channels) @ matrix).view(frames, height, width, out)


def _product_then_shifts(field: Tensor, kernel: Tensor, bias: Tensor | None, padding: tuple[int, int, int]) -> Tensor:
    out, channels, size = kernel.shape[:3]
    matrix = kernel.permute(1, 2, 3, 4, 0).reshape(channels, -1)
    products = (field.reshape(-1, channels) @ matrix).view(*field.shape[:3], size**3, out)
    padded = F.pad(products, (0, 0, 0, 0, *(p for pad in reversed(padding) for p in (pad, pad))))
    frames, height, width = (n - size + 1 for n in padded.shape[:3])
    total = torch.zeros(frames, height, width, out, device=field.device)  # 27 bfloat16 sums would lose 3 bits
    for index in range(size**3):
        dt, dh, dw = index // size**2, index // size % size, index % size
        total += padded[dt : dt + frames, dh : dh + height, dw : dw + width, index]
    if bias is not None:
        total += bias
    return total.to(field.dtype)
