"""The force by fused Triton kernels, on a GPU.

Beside states and adjoints only a slab's bfloat16 hidden activations exist: no low-precision copy of the
state, no float32 force. States do not depend on the slabs: each position is summed in the same order wherever
its tile lies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from revseg.reversible.force.force import Fields, Force, Gradients, Layout, total_of
from revseg.reversible.force.slab import Slab, slabs
from revseg.reversible.grid import Grid
from revseg.reversible.kernels.gradient import kernel_gradient
from revseg.reversible.kernels.hidden import forward_weight, gated, hidden
from revseg.reversible.kernels.leapfrog import leapfrog_, transposed_weight
from revseg.reversible.kernels.tile import padded_rank, tile_of, workspace_bytes


class FusedForce(Force):
    """The force with its weights in the layouts of the kernels; kernel (rank, C, 3, 3, 3), relu, bfloat16 products."""

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout) -> None:
        super().__init__(kernel, bias, step_size=step_size, layout=layout)
        padded = padded_rank(layout.rank)
        self._scale = -(step_size**2)
        self._forward = forward_weight(kernel * self.unit, padded)
        self._transposed = transposed_weight(kernel * (step_size**2 / self.unit), padded)
        self._bias = torch.zeros(padded, dtype=torch.bfloat16, device=kernel.device)
        self._bias[: layout.rank] = bias
        names = ("hidden", "leapfrog", "gradient")
        self._tiles = {name: tile_of(name, layout.channels, padded) for name in names}

    def kick_sample_(self, fields: Fields, grid: Grid, *, budget: int, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        reached = []
        for slab in self._slabs(fields[1], budget):
            a = self._hidden(fields[1], slab)
            if keep is not None:
                keep.append(a)
            reached.append(self._kick_(fields, a, slab=slab, exact=grid.exact, sign=sign))
        return [magnitude for magnitude in reached if magnitude is not None]

    def adjoint_sample_(
        self,
        fields: Fields,
        adjoint: Fields,
        *,
        grids: tuple[Grid, Grid],
        budget: int,
        kept: list[Tensor] | None,
        needs: tuple[bool, ...],
    ) -> Gradients:
        kernel, bias = None, None
        for number, slab in enumerate(self._slabs(fields[1], budget)):
            a = kept[number] if kept else None
            parts = self.adjoint_slab_(fields, adjoint, slab=slab, exact=grids[0].exact, a=a, needs=needs)
            kernel, bias = total_of(kernel, parts[0]), total_of(bias, parts[1])
        return kernel, bias

    def kick_slab_(self, fields: Fields, slab: Slab, exact: bool, sign: int = 1) -> Tensor | None:
        """Kicks a slab; returns the largest magnitude, 0-d, where ``exact``."""
        return self._kick_(fields, self._hidden(fields[1], slab), slab=slab, exact=exact, sign=sign)

    def adjoint_slab_(
        self,
        fields: Fields,
        adjoint: Fields,
        *,
        slab: Slab,
        exact: bool,
        a: Tensor | None = None,
        needs: tuple[bool, ...] = (True, True),
    ) -> Gradients:
        """Takes the kick back on a slab and kicks its adjoint; a: its hidden activations, if they were kept."""
        with torch.cuda.device_of(fields[0]):
            a = self._hidden(fields[1], slab) if a is None else a
            self._kick_(fields, a, slab=slab, exact=exact, sign=-1)
            d = gated(adjoint[1], self._forward, a, slab=slab, tile=self._tiles["hidden"])
            self._kick_(adjoint, d, slab=slab, exact=False, sign=1)
            kernel, bias = None, None
            if needs[0]:
                whole = kernel_gradient(fields[1], adjoint[1], a=a, d=d, slab=slab, tile=self._tiles["gradient"])
                kernel = whole[: self.layout.rank].mul_(self._scale)
            if needs[1]:
                # d carries the grid's unit: y, in grid units, cancels it in the kernel's gradient; nothing cancels it here.
                bias = d[1:-1, 1:-1, :, : self.layout.rank].sum((0, 1, 2), dtype=torch.float32).mul_(self._scale / self.unit)
            return kernel, bias

    def _slabs(self, field: Tensor, budget: int) -> list[Slab]:
        return list(slabs(tuple(field.shape), radii=(1, 1, 1), position_bytes=workspace_bytes(self.layout.rank), budget=budget))

    def _hidden(self, curr: Tensor, slab: Slab) -> Tensor:
        with torch.cuda.device_of(curr):
            return hidden(curr, self._forward, self._bias, slab=slab, tile=self._tiles["hidden"])

    def _kick_(self, fields: Fields, a: Tensor, *, slab: Slab, exact: bool, sign: int) -> Tensor | None:
        with torch.cuda.device_of(a):
            tile = self._tiles["leapfrog"]
            return leapfrog_(*fields, a, weight=self._transposed, slab=slab, tile=tile, exact=exact, sign=sign)
