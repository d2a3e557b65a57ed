"""Compares the kernels with PyTorch on a small field: integers must have the same bits, rounded products must be close.

Each check returns a reason against the kernels, or an empty string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv3d_weight

from revseg.reversible import haar
from revseg.reversible.grid import Grid
from revseg.reversible.kernels.fused import FusedLayer
from revseg.reversible.kernels.haar import coarsen_group_, refine_group_
from revseg.reversible.slab import Slab

if TYPE_CHECKING:
    from revseg.reversible.kernels.dispatch import Layout

# Relative to the largest value. Sums in another order differ by 1e-6, bfloat16 adjoints by 4e-3, and a sum
# that falls on the other side of relu's corner by 1e-2.
TOLERANCE = 2e-2


def verify_layer(device: torch.device, layout: Layout) -> str:
    """Compares a step, its inverse and its adjoint on three slabs with convolutions of the same operands."""
    generator = torch.Generator().manual_seed(0)
    shape = (3, 5, 17, layout.channels)
    spread = 256.0 if layout.grid.exact else 1.0

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator).to(device)

    kernel = random(layout.rank, layout.channels, 3, 3, 3) * (layout.channels * 27) ** -0.5
    bias, unit, step_size = random(layout.rank) * 0.1, layout.grid.unit, 0.5
    prev, curr = (random(*shape) * spread for _ in range(2))
    if layout.grid.exact:
        prev, curr = prev.round(), curr.round()
    u_prev, u_curr = (random(*shape).to(layout.adjoint_dtype) for _ in range(2))
    expected = _reference(
        kernel, bias, step_size=step_size, unit=unit, exact=layout.grid.exact, prev=prev, curr=curr, u_prev=u_prev, u_curr=u_curr
    )

    layer = FusedLayer(kernel, bias, step_size=step_size, unit=unit)
    prev, curr = prev.to(layout.grid.dtype), curr.to(layout.grid.dtype)
    parts = [
        Slab(start=0, stop=2, top=0, bottom=5, frames=3, height=5, radius=1),
        Slab(start=2, stop=3, top=0, bottom=2, frames=3, height=5, radius=1),
        Slab(start=2, stop=3, top=2, bottom=5, frames=3, height=5, radius=1),
    ]
    stepped = prev.clone()
    sizes = [layer.step_slab_(stepped, curr, part, exact=layout.grid.exact) for part in parts]
    back = stepped.clone()
    gradients = [
        layer.adjoint_slab_(back, curr, u_prev=u_prev, u_curr=u_curr, slab=part, exact=layout.grid.exact) for part in parts
    ]
    if layout.grid.exact:
        if not torch.equal(back, prev):
            return "the inverse of a step does not return the same bits"
        if max(float(size) for size in sizes if size is not None) != float(stepped.double().abs().amax()):
            return "the largest magnitude of a step is wrong"
    found = (stepped, u_prev, sum(g[0] for g in gradients), sum(g[1] for g in gradients))
    names = ("step", "adjoint", "kernel gradient", "bias gradient")
    for name, value, truth in zip(names, found, expected, strict=True):
        error = (torch.as_tensor(value).double() - truth).abs().amax() / truth.abs().amax()
        if not error <= TOLERANCE:
            return f"the {name} differs by {float(error):.2g} of its largest value"
    return ""


def _reference(kernel: Tensor, bias: Tensor, step_size: float, unit: float, exact: bool, prev: Tensor,
               curr: Tensor, u_prev: Tensor, u_curr: Tensor) -> tuple[Tensor, ...]:  # fmt: skip
    """Returns step, adjoint and gradients in float64, from operands rounded to bfloat16."""

    def narrow(x: Tensor) -> Tensor:
        return x.to(torch.bfloat16).double()

    inwards, outwards = narrow(kernel * unit), narrow(kernel * (step_size**2 / unit))
    batch = [narrow(x).permute(3, 0, 1, 2)[None] for x in (curr, u_curr)]
    a = narrow(F.conv3d(batch[0], inwards, narrow(bias), padding=1).relu())
    d = narrow(F.conv3d(batch[1], inwards, padding=1) * (a > 0))
    force, u_force = (F.conv_transpose3d(x, outwards, padding=1)[0].permute(1, 2, 3, 0) for x in (a, d))
    stepped = 2 * curr.double() - prev.double() - (force.round() if exact else force)
    u_stepped = 2 * u_curr.double() - u_prev.double() - u_force
    gradient = conv3d_weight(batch[1], kernel.shape, a, padding=1)
    gradient = gradient + conv3d_weight(batch[0], kernel.shape, d, padding=1)
    scale = -(step_size**2)
    return stepped, u_stepped, gradient * scale, d.sum((0, 2, 3, 4)) * (scale / unit)


def verify_haar(device: torch.device, channels: int, dtype: torch.dtype, exact: bool) -> str:
    """Compares coarsening and refining of one small group with the PyTorch path, with and without T."""
    generator = torch.Generator().manual_seed(0)
    grid = Grid(dtype, 8) if exact else Grid(dtype, None)
    values = torch.randn(2, 6, 10, channels, generator=generator) * 1000
    fine = (values.round() if exact else values).to(dtype).to(device)
    for halve_time in (True, False):
        coarse = torch.empty(haar.coarse_shape(fine.shape, halve_time), dtype=dtype, device=device)
        coarsen_group_(fine, coarse, halve_time=halve_time, exact=exact)
        refined = torch.empty_like(fine)
        refine_group_(coarse, refined, halve_time=halve_time, exact=exact)
        # On the CPU, where no kernel is asked for: whether one may be used is only being found out here.
        truth = haar.coarsen_(fine.cpu().clone(), halve_time=halve_time, grid=grid, group_bytes=1 << 20).to(device)
        if exact and not (torch.equal(coarse, truth) and torch.equal(refined, fine)):
            return "the transform differs from PyTorch's in its bits"
        largest = (coarse.float() - truth.float()).abs().amax(), (refined.float() - fine.float()).abs().amax()
        if not max(map(float, largest)) <= TOLERANCE * float(fine.abs().amax()):
            return "the transform differs from PyTorch's"
    return ""
