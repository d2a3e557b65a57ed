"""Passes of a symmetric layer over a slab, made of the kernels: the counterpart of ``PreparedLayer`` on the GPU.

Beside states and adjoints only a slab's bfloat16 hidden activations exist: no low-precision copy of the
state, no float32 force. States do not depend on the slabs: each position is summed in the same order wherever
its tile lies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from revseg.reversible.grid import Grid
from revseg.reversible.kernels.gradient import kernel_gradient
from revseg.reversible.kernels.hidden import forward_weight, gated, hidden
from revseg.reversible.kernels.leapfrog import leapfrog_, transposed_weight
from revseg.reversible.kernels.tile import padded_rank, tile_of
from revseg.reversible.slab import Slab, slabs


class FusedLayer:
    """Weights of a layer in the layouts of the kernels, made once per pass.

    kernel (rank, C, 3, 3, 3), bias (rank,), float32; ``unit`` of the state's grid, 1 in floating point.
    """

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, unit: float) -> None:
        self.rank, self.channels = kernel.shape[:2]
        padded = padded_rank(self.rank)
        self.position_bytes = 2 * padded * torch.bfloat16.itemsize  # a and d
        self._scale = -(step_size**2)
        self._unit = unit
        self._forward = forward_weight(kernel * unit, padded)
        self._transposed = transposed_weight(kernel * (step_size**2 / unit), padded)
        self._bias = torch.zeros(padded, dtype=torch.bfloat16, device=kernel.device)
        self._bias[: self.rank] = bias
        names = ("hidden", "leapfrog", "gradient")
        self._tiles = {name: tile_of(name, self.channels, padded) for name in names}

    def step_(self, prev: Tensor, curr: Tensor, grid: Grid, budget: int, keep: list[Tensor] | None = None) -> list[Tensor]:
        """See ``revseg.reversible.block.Layer``."""
        reached = [self.step_slab_(prev, curr, slab, exact=grid.exact) for slab in self._slabs(curr, budget)]
        return [magnitude for magnitude in reached if magnitude is not None]

    def adjoint_(self, prev: Tensor, curr: Tensor, u_prev: Tensor, u_curr: Tensor, grid: Grid,
                 adjoint_grid: Grid, budget: int, kept: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """See ``revseg.reversible.block.Layer``."""
        fields = (prev, curr, u_prev, u_curr)
        parts = [self.adjoint_slab_(*fields, slab=slab, exact=grid.exact) for slab in self._slabs(curr, budget)]
        kernels, biases = zip(*parts, strict=True)
        return torch.stack(kernels).sum(0), torch.stack(biases).sum(0)

    def step_slab_(self, prev: Tensor, curr: Tensor, slab: Slab, exact: bool) -> Tensor | None:
        """Computes prev <- 2 curr - prev - h^2 K^T relu(K curr + b) / unit on a slab of (T, H, W, C), in grid units.

        Returns the largest magnitude, 0-d, where ``exact``.
        """
        with torch.cuda.device_of(prev):
            return self._leapfrog_(prev, curr, self._hidden(curr, slab), slab=slab, exact=exact)

    def adjoint_slab_(self, prev: Tensor, curr: Tensor, u_prev: Tensor, u_curr: Tensor, slab: Slab,
                      exact: bool) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Undoes the step on the state and carries the adjoint back; returns the slab's d(loss)/dK and d(loss)/db."""
        with torch.cuda.device_of(prev):
            a = self._hidden(curr, slab)
            self._leapfrog_(prev, curr, a, slab=slab, exact=exact)
            d = gated(u_curr, self._forward, a, slab=slab, tile=self._tiles["hidden"])
            self._leapfrog_(u_prev, u_curr, d, slab=slab, exact=False)
            kernel = kernel_gradient(curr, u_curr, a=a, d=d, slab=slab, tile=self._tiles["gradient"])[: self.rank]
            # d carries the grid's unit: y, in grid units, cancels it in the kernel's gradient; nothing cancels it here.
            bias = d[1:-1, 1:-1, :, : self.rank].sum((0, 1, 2), dtype=torch.float32)
            return kernel.mul_(self._scale), bias.mul_(self._scale / self._unit)

    def _slabs(self, field: Tensor, budget: int) -> list[Slab]:
        return list(slabs(tuple(field.shape), radius=1, position_bytes=self.position_bytes, budget=budget))

    def _hidden(self, curr: Tensor, slab: Slab) -> Tensor:
        return hidden(curr, self._forward, self._bias, slab=slab, tile=self._tiles["hidden"])

    def _leapfrog_(self, prev: Tensor, curr: Tensor, a: Tensor, slab: Slab, exact: bool) -> Tensor | None:
        return leapfrog_(prev, curr, a, weight=self._transposed, slab=slab, tile=self._tiles["leapfrog"], exact=exact)
