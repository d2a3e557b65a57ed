"""The force by fused Triton kernels, on a GPU.

Beside states and adjoints only a slab's bfloat16 hidden activations exist: no low-precision copy of the
state, no float32 force. States do not depend on the slabs: each position is summed in the same order wherever
its tile lies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from revseg.reversible.force.force import Fields, Gradients, Layout, SlabForce
from revseg.reversible.force.gradient import bias_gradient
from revseg.reversible.force.slab import Slab, slabs
from revseg.reversible.kernels.gradient import kernel_gradient
from revseg.reversible.kernels.hidden import forward_weight, gated, hidden
from revseg.reversible.kernels.leapfrog import leapfrog_, transposed_weight
from revseg.reversible.kernels.tile import generation_of, padded_rank, tile_of, workspace_bytes


class FusedForce(SlabForce):
    """The force with its weights in the layouts of the kernels; kernel (rank, C, 3, 3, 3), relu, bfloat16 products."""

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout) -> None:
        super().__init__(kernel, bias, step_size=step_size, layout=layout)
        padded = padded_rank(layout.rank)
        self._forward = forward_weight(kernel * self.unit, padded)
        self._transposed = transposed_weight(kernel * (step_size**2 / self.unit), padded)
        self._bias = torch.zeros(padded, dtype=torch.bfloat16, device=kernel.device)
        self._bias[: layout.rank] = bias
        names = ("hidden", "leapfrog", "gradient")
        generation = generation_of(kernel.device)
        self._tiles = {name: tile_of(name, layout.channels, padded, generation=generation) for name in names}

    def slabs(self, field: Tensor, budget: int) -> list[Slab]:
        return list(slabs(tuple(field.shape), radii=(1, 1, 1), position_bytes=workspace_bytes(self.layout.rank), budget=budget))

    def read(self, curr: Tensor, slab: Slab) -> Tensor:
        return curr

    def hidden(self, y: Tensor, slab: Slab) -> Tensor:
        with torch.cuda.device_of(y):
            return hidden(y, self._forward, self._bias, slab=slab, tile=self._tiles["hidden"])

    def kick_slab_(self, fields: Fields, slab: Slab, *, hidden: Tensor, sign: int = 1) -> Tensor | None:
        with torch.cuda.device_of(hidden):
            tile, exact = self._tiles["leapfrog"], fields.grid.exact
            return leapfrog_(
                fields.partner, fields.curr, hidden, weight=self._transposed, slab=slab, tile=tile, exact=exact, sign=sign
            )

    def adjoint_slab_(
        self, fields: Fields, adjoint: Fields, slab: Slab, *, y: Tensor, hidden: Tensor, needs: tuple[bool, ...] = (True, True)
    ) -> Gradients:
        with torch.cuda.device_of(y):
            self.kick_slab_(fields, slab, hidden=hidden, sign=-1)
            d = gated(adjoint.curr, self._forward, hidden, slab=slab, tile=self._tiles["hidden"])
            self.kick_slab_(adjoint, slab, hidden=d)
            kernel, bias = None, None
            if needs[0]:
                whole = kernel_gradient(y, adjoint.curr, a=hidden, d=d, slab=slab, tile=self._tiles["gradient"])
                kernel = whole[: self.layout.rank]
            if needs[1]:
                bias = bias_gradient(d[1:-1, 1:-1, :, : self.layout.rank])
            return kernel, bias
