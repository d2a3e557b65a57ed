"""Compares the fused force with PyTorch on a small field: integers must have the same bits, rounded products must be close.

The check returns a reason against the kernels, or an empty string.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv3d_weight

from revseg.reversible.force.force import Fields, Gradients, Layout, SlabForce, totals_of
from revseg.reversible.force.fused import FusedForce
from revseg.reversible.force.slab import Slab
from revseg.reversible.grid import Grid
from revseg.reversible.kernels.tile import generation_of, padded_rank, widest

# Relative to the largest value. Sums in another order differ by 1e-6, bfloat16 adjoints by 4e-3, and a sum
# that falls on the other side of relu's corner by 1e-2.
TOLERANCE = 2e-2


def verify_layer(device: torch.device, layout: Layout, way: type[SlabForce] = FusedForce) -> str:
    """Compares a step, its inverse and its adjoint on three slabs with convolutions of the same operands.

    way: what is compared; the field is wider than its tiles, so that they meet.
    """
    generator = torch.Generator().manual_seed(0)
    width = 1 + widest(layout.channels, padded_rank(layout.rank), generation=generation_of(device))
    shape = (3, 5, width, layout.channels)
    spread = 256.0 if layout.grid.exact else 1.0

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator).to(device)

    kernel = random(layout.rank, layout.channels, 3, 3, 3) * (layout.channels * 27) ** -0.5
    bias, step_size = random(layout.rank) * 0.1, 0.5
    partner, curr = (random(*shape) * spread for _ in range(2))
    if layout.grid.exact:
        partner, curr = partner.round(), curr.round()
    velocity, u = (random(*shape).to(layout.adjoint_dtype) for _ in range(2))
    expected = _reference(kernel, bias, step_size=step_size, grid=layout.grid, fields=(partner, curr), adjoint=(velocity, u))

    force = way(kernel, bias, step_size=step_size, layout=layout)
    partner, curr = partner.to(layout.grid.dtype), curr.to(layout.grid.dtype)
    parts = [
        Slab(start=0, stop=2, top=0, bottom=5, frames=3, height=5, radii=(1, 1, 1)),
        Slab(start=2, stop=3, top=0, bottom=2, frames=3, height=5, radii=(1, 1, 1)),
        Slab(start=2, stop=3, top=2, bottom=5, frames=3, height=5, radii=(1, 1, 1)),
    ]
    kicked = partner.clone()
    read = [force.read(curr, part) for part in parts]
    hidden = [force.hidden(y, part) for y, part in zip(read, parts, strict=True)]
    fields = Fields(kicked, curr, layout.grid)
    sizes = [force.kick_slab_(fields, part, hidden=a) for part, a in zip(parts, hidden, strict=True)]
    back = kicked.clone()
    fields, adjoint = Fields(back, curr, layout.grid), Fields(velocity, u, Grid(layout.adjoint_dtype, None))
    totals: Gradients = (None, None)
    for part, y, a in zip(parts, read, hidden, strict=True):
        totals = totals_of(totals, force.adjoint_slab_(fields, adjoint, part, y=y, hidden=a))
    if layout.grid.exact:
        if not torch.equal(back, partner):
            return "the inverse of a step does not return the same bits"
        if max(float(size) for size in sizes if size is not None) != float(kicked.double().abs().amax()):
            return "the largest magnitude of a step is wrong"
    found = (kicked, velocity, *force.scaled_(totals))
    names = ("step", "adjoint", "kernel gradient", "bias gradient")
    for name, value, truth in zip(names, found, expected, strict=True):
        error = (torch.as_tensor(value).double() - truth).abs().amax() / truth.abs().amax()
        if not error <= TOLERANCE:
            return f"the {name} differs by {float(error):.2g} of its largest value"
    return ""


def _reference(
    kernel: Tensor, bias: Tensor, *, step_size: float, grid: Grid, fields: tuple[Tensor, Tensor], adjoint: tuple[Tensor, Tensor]
) -> tuple[Tensor, ...]:
    """Returns kick, adjoint and gradients in float64, from operands rounded to bfloat16."""

    def narrow(x: Tensor) -> Tensor:
        return x.to(torch.bfloat16).double()

    inwards, outwards = narrow(kernel * grid.unit), narrow(kernel * (step_size**2 / grid.unit))
    batch = [narrow(x).permute(3, 0, 1, 2)[None] for x in (fields[1], adjoint[1])]
    a = narrow(F.conv3d(batch[0], inwards, narrow(bias), padding=1).relu())
    d = narrow(F.conv3d(batch[1], inwards, padding=1) * (a > 0))
    force, u_force = (F.conv_transpose3d(x, outwards, padding=1)[0].permute(1, 2, 3, 0) for x in (a, d))
    partner, curr = (x.double() for x in fields)
    kicked = 2 * curr - partner - force.round() if grid.exact else partner - force
    gradient = conv3d_weight(batch[1], kernel.shape, a, padding=1)
    gradient = gradient + conv3d_weight(batch[0], kernel.shape, d, padding=1)
    scale = -(step_size**2)
    return kicked, adjoint[0].double() - u_force, gradient * scale, d.sum((0, 2, 3, 4)) * (scale / grid.unit)
