"""revseg's network, with its own weights, run the ways a user without it would run it.

    plain        autograd stores what it needs; revseg's convolutions and Haar transforms, on the whole volume
    checkpoint   the same, every block under torch.utils.checkpoint
    naive        float32, F.conv3d and F.conv_transpose3d on (N, C, T, H, W), autograd

States are float32 and nothing is rounded to a grid, so losses agree with revseg's up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from revseg.network.network import RevSegNet, normalise
from revseg.network.plan import blocks_of, padded_size
from revseg.reversible.force.convolution import Convolution
from revseg.reversible.force.gradient import kernel_gradient
from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsen_, refine_

FLOAT = Grid(torch.float32, None)
HAAR_BYTES = {"cpu": 48 << 20, "cuda": 256 << 20}  # the budget that revseg gives its own transforms
State = tuple[Tensor, Tensor]


class FastConvolution(torch.autograd.Function):
    """y -> K y + b of a field (T, H, W, C) in the field's dtype, by revseg's convolution; K and b float32."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(field, kernel)
        bias = None if bias is None else bias.to(field.dtype)
        return Convolution(kernel.to(field.dtype), bias)(field, _padding(kernel))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        (field, kernel), grad = ctx.saved_tensors, grads[0].contiguous()
        transposed = kernel.flip(2, 3, 4).transpose(0, 1).to(field.dtype)
        bias = grad.sum((0, 1, 2), dtype=kernel.dtype) if ctx.needs_input_grad[2] else None
        gradient = kernel_gradient(field, grad, tuple(kernel.shape[2:]), _padding(kernel))
        return Convolution(transposed)(grad, _padding(kernel)), gradient, bias


class FastHaar(torch.autograd.Function):
    """revseg's Haar transform of a field, out of place; its adjoint is its inverse."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, halve_time: bool, coarser: bool) -> Tensor:
        ctx.halve_time, ctx.coarser = halve_time, coarser
        return _haar(field, halve_time, coarser)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _haar(grads[0], ctx.halve_time, not ctx.coarser), None, None


class FastFields:
    """Fields (T, H, W, C), channels last, convolved in ``dtype``."""

    def __init__(self, step_size: float, dtype: torch.dtype) -> None:
        self.step_size, self.dtype = step_size, dtype

    def open(self, opened: Tensor) -> Tensor:
        """(1, T, H, W, C) -> a field of its own memory."""
        return opened[0]

    def force(self, y: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """h^2 K^T relu(K y + b)."""
        hidden = torch.relu(FastConvolution.apply(y.to(self.dtype), kernel, bias))
        transposed = kernel.flip(2, 3, 4).transpose(0, 1) * self.step_size**2
        return FastConvolution.apply(hidden, transposed, None)

    def haar(self, field: Tensor, halve_time: bool, coarser: bool) -> Tensor:
        return FastHaar.apply(field, halve_time, coarser)

    def frames(self, field: Tensor, frames: list[int], height: int, width: int) -> Tensor:
        """(L, H, W, C)."""
        return field[frames, :height, :width]


class NaiveFields:
    """Fields (1, C, T, H, W) in float32, with the functions that one finds first."""

    def __init__(self, step_size: float) -> None:
        self.step_size = step_size

    def open(self, opened: Tensor) -> Tensor:
        return opened.movedim(-1, 1).contiguous()

    def force(self, y: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        radius = kernel.shape[-1] // 2
        hidden = F.conv3d(y, kernel, bias, padding=radius).relu()
        return self.step_size**2 * F.conv_transpose3d(hidden, kernel, padding=radius)

    def haar(self, x: Tensor, halve_time: bool, coarser: bool) -> Tensor:
        axes = (4, 3, 2) if halve_time else (4, 3)
        if coarser:
            for axis in axes:
                a, b = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
                x = torch.stack([(a + b) * 0.5**0.5, (b - a) * 0.5**0.5], 1).flatten(1, 2)
            return x
        for axis in reversed(axes):
            low, high = x.unflatten(1, (2, -1)).unbind(1)
            x = torch.stack([(low - high) * 0.5**0.5, (low + high) * 0.5**0.5], axis + 1).flatten(axis, axis + 1)
        return x

    def frames(self, field: Tensor, frames: list[int], height: int, width: int) -> Tensor:
        return field[0, :, frames, :height, :width].movedim(0, -1)


class SameNetwork:
    """A RevSegNet's opening, layers and head; ``checkpointed``: autograd recomputes block by block."""

    def __init__(self, net: RevSegNet, fields: FastFields | NaiveFields, checkpointed: bool) -> None:
        self.net, self.fields, self.checkpointed = net, fields, checkpointed

    def state(self, volume: Tensor) -> State:
        """(1, 3, T, H, W) uint8 -> (prev, curr) after all blocks."""
        size = volume.shape[2:]
        padded = padded_size(self.net.config, tuple(size))  # type: ignore[arg-type]
        inputs = normalise(volume.movedim(1, -1))
        if padded != tuple(size):
            inputs = F.pad(inputs, (0, 0, *(p for axis in (2, 1, 0) for p in (0, padded[axis] - size[axis]))))
        parameters = (part for own in self.net.sequence.operands() for part in own)
        prev = curr = self.fields.open(self.net.opening(inputs))
        for plan in blocks_of(self.net.config):
            if plan.kind == "leapfrog":
                given = prev, curr, next(parameters), next(parameters)
                following = checkpoint(self._next, *given, use_reentrant=False) if self.checkpointed else self._next(*given)
                prev, curr = curr, following
            else:
                prev, curr = (self.fields.haar(field, plan.halve_time, plan.kind == "coarsen") for field in (prev, curr))
        return prev, curr

    def logits(self, volume: Tensor, frames: list[int]) -> Tensor:
        """Returns the logits (L, H, W, O) of some frames."""
        height, width = volume.shape[3:]
        parts = [self.fields.frames(field, frames, height, width) for field in self.state(volume)]
        return self.net.head(torch.cat(parts, -1))

    def _next(self, prev: Tensor, curr: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        return curr.mul(2).sub_(prev).sub_(self.fields.force(curr, kernel, bias))


def _padding(kernel: Tensor) -> tuple[int, int, int]:
    radius = kernel.shape[-1] // 2
    return radius, radius, radius


def _haar(field: Tensor, halve_time: bool, coarser: bool) -> Tensor:
    """Runs the in-place transform on a copy."""
    transform, copy = coarsen_ if coarser else refine_, field.clone(memory_format=torch.contiguous_format)
    return transform(copy, (halve_time, True, True), FLOAT, HAAR_BYTES.get(field.device.type, HAAR_BYTES["cpu"]))
