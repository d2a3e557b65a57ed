"""The convolutions of a symmetric layer on one slab, each in the form that is fast on its device.

Slabs are channels-last, (t, h, w, C) contiguous. Convolutions are 'valid' along the padded axes of the slab (its halo is part
of the input) and zero-padded along the others. Three ways compute the same numbers:

- ``F.conv3d`` on a channels_last_3d view: cuDNN, and oneDNN for bfloat16;
- ``F.conv2d`` for a single frame in bfloat16 on CPU;
- ``torch.mkldnn_convolution`` for float32 on CPU: F.conv3d takes a slow path there for few channels (15 times slower).

``revseg.reversible.force.product`` treats fields whose channels outnumber the rank many times.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from revseg.reversible.activation import RELU
from revseg.reversible.force.force import Fields, Gradients, Layout, SlabForce
from revseg.reversible.force.gradient import as_batch, bias_gradient, kernel_gradient
from revseg.reversible.force.slab import Slab, slab_size, slabs


def as_field(slab: Tensor) -> Tensor:
    """(1, C, t, h, w) channels-last -> (t, h, w, C)."""
    return slab.permute(0, 2, 3, 4, 1)[0]


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
        if field.device.type == "cpu" and field.dtype == torch.bfloat16 and len(field) == 1:
            # The taps before and behind see zeros alone. oneDNN's 3D kernel makes nan of one frame with an odd number of channels
            # (torch 2.14, AMX).
            middle = kernel[:, :, kernel.shape[2] // 2].contiguous(memory_format=torch.channels_last)
            return F.conv2d(field.permute(0, 3, 1, 2), middle, self.bias, padding=padding[1:]).permute(0, 2, 3, 1)
        return as_field(F.conv3d(batch, kernel, self.bias, padding=padding))


class ConvolutionForce(SlabForce):
    """The force by two convolutions on a slab with its halo.

    K is scaled by the unit, K^T by h^2 / unit:

        affine(y)     = K y + b                y in grid units, the result in values
        linear(u)     = K u
        transposed(a) = h^2 K^T a / unit       in grid units
    """

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout) -> None:
        super().__init__(kernel, bias, step_size=step_size, layout=layout)
        self.dtype = dtype = layout.convolution_dtype
        # K^T as an ordinary convolution with the flipped, transposed kernel: F.conv_transpose3d is 10 times slower on CPU.
        flipped = kernel.flip(2, 3, 4).transpose(0, 1)
        self.affine = Convolution((kernel * self.unit).to(dtype), bias.to(dtype))
        self.linear = Convolution(self.affine.kernel)
        self.transposed = Convolution((flipped * (step_size**2 / self.unit)).to(dtype))

    def slabs(self, field: Tensor, budget: int) -> list[Slab]:
        return list(slabs(tuple(field.shape), radii=self.layout.radii, position_bytes=position_bytes(self.layout), budget=budget))

    def read(self, curr: Tensor, slab: Slab) -> Tensor:
        return slab.read(curr, self.dtype)

    def hidden(self, y: Tensor, slab: Slab) -> Tensor:
        return slab.clear_halo_(self.layout.activation.function(self.affine(y, slab.padding)))

    def kick_slab_(self, fields: Fields, slab: Slab, *, hidden: Tensor, sign: int = 1) -> Tensor | None:
        force = self.transposed(hidden, slab.padding)
        return fields.grid.kick_(slab.core(fields.partner), slab.core(fields.curr), force, sign=sign)

    def adjoint_slab_(
        self, fields: Fields, adjoint: Fields, slab: Slab, *, y: Tensor, hidden: Tensor, needs: tuple[bool, ...] = (True, True)
    ) -> Gradients:
        # The same call on the same input as on the way forwards: the same bits, so the inverse is exact.
        self.kick_slab_(fields, slab, hidden=hidden, sign=-1)
        u = slab.read(adjoint.curr, self.dtype)
        d = self.layout.activation.gate(self.linear(u, slab.padding), hidden)
        if self.layout.activation is not RELU:  # relu' is zero wherever a is, so the halo outside the field is zero already
            slab.clear_halo_(d)
        self.kick_slab_(adjoint, slab, hidden=d)
        # The loss contains K twice: through K^T and through K. d carries the grid's unit: y, in grid units, cancels it; b does
        # not.
        a, d, kernel = slab.inner(hidden), slab.inner(d), None
        if needs[0]:
            size = self.layout.kernel_size
            kernel = kernel_gradient(slab.inner(u), a, size=size, padding=slab.padding)
            kernel += kernel_gradient(slab.inner(y), d, size=size, padding=slab.padding)
        return kernel, bias_gradient(d) if needs[1] else None


def position_bytes(layout: Layout) -> int:
    """Bytes of a slab's temporaries per position, at their peak in the backward pass."""
    item = layout.convolution_dtype.itemsize
    wide = 0 if layout.grid.dtype.is_floating_point else 8  # floating-point copy of curr
    return layout.channels * (3 * item + wide) + layout.rank * 3 * item


def temporary_bytes(layout: Layout, shape: tuple[int, ...], budget: int) -> int:
    """Bytes of the temporaries of the largest slab of a field (T, H, W, C)."""
    frames, height, width = shape[:3]
    per_position = position_bytes(layout)
    length, rows = slab_size(shape, radii=layout.radii, position_bytes=per_position, budget=budget)
    long = length + (4 * layout.radii[0] if length < frames else 0)
    high = rows + (4 * layout.radii[1] if rows < height else 0)
    return long * high * width * per_position
