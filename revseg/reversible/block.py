"""Reversible blocks that act on a state in place: the leapfrog step and the changes of level.

    Leapfrog    next = 2 curr - prev - h^2 K^T relu(K curr + b)       (prev, curr) -> (curr, next)
    Coarsen     orthonormal Haar transform of prev and of curr        C -> 8C, each axis halved
    Refine      its inverse

Every block has forward, inverse and adjoint side by side. The adjoint is carried as the pair

    u_prev = -d(loss)/d(prev),   u_curr = d(loss)/d(curr)

because with this sign the adjoint of a leapfrog step is the same leapfrog, linearised, run on u:

    u_next = 2 u_curr - u_prev - h^2 K^T D K u_curr,   D = diag(relu'(K curr + b))        (K^T D K is its own adjoint)

so state and adjoint are updated by the same code, each over its own memory.
Source: Lensink, Peters, Haber, arXiv:1905.10484; Peters, Haber, Lensink, arXiv:1912.12137.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.convolution import kernel_gradient
from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsen_, refine_
from revseg.reversible.layer import PreparedLayer
from revseg.reversible.slab import Slab, slabs


@dataclass
class Pair:
    """Two fields (N, T, H, W, C), contiguous, with the grid they live on: a state (prev, curr) or its adjoint."""

    prev: Tensor
    curr: Tensor
    grid: Grid
    range: Tensor | None = None  # largest magnitude so far, in grid units

    def swap_(self) -> None:
        self.prev, self.curr = self.curr, self.prev

    def watch_(self, magnitude: Tensor | None) -> None:
        if magnitude is not None:
            self.range = magnitude if self.range is None else torch.maximum(self.range, magnitude)


class Leapfrog:
    """One step of the two-step recurrence with the layer ``index`` of the sequence."""

    def __init__(self, index: int, rank: int, kernel_size: int) -> None:
        self.index, self.rank, self.radius = index, rank, kernel_size // 2

    def forward_(self, state: Pair, layer: PreparedLayer, budget: int) -> None:
        """next = 2 curr - prev - f(curr), written over prev; then (prev, curr) <- (curr, next)."""
        self._step_(state, layer, budget)
        state.swap_()

    def inverse_(self, state: Pair, layer: PreparedLayer, budget: int) -> None:
        """prev = 2 curr - next - f(curr): the recurrence is symmetric in time, so the same step run on (next, curr)."""
        state.swap_()
        self._step_(state, layer, budget)

    def adjoint_(self, state: Pair, adjoint: Pair, layer: PreparedLayer, budget: int) -> tuple[Tensor, Tensor]:
        """Undo the step on the state and carry the adjoint back through it; returns d(loss)/dK and d(loss)/db.

        8 convolutions in all, counting the 2 of forward: K y, K u, K^T a, K^T d and two kernel gradients.
        """
        state.swap_()  # prev <- next, curr
        total: list[Tensor] = []
        for sample in range(len(state.curr)):
            for slab in self._slabs(state.curr, budget):
                parts = self._adjoint_slab(state, adjoint, layer, sample, slab)
                total = [old.add_(new) for old, new in zip(total, parts, strict=True)] if total else list(parts)
        adjoint.swap_()
        return total[0], total[1]

    def _slabs(self, fields: Tensor, budget: int) -> list[Slab]:
        return list(slabs(tuple(fields.shape[1:]), self.rank, self.radius, budget))

    def _step_(self, state: Pair, layer: PreparedLayer, budget: int) -> None:
        for sample in range(len(state.curr)):
            prev, curr = state.prev[sample], state.curr[sample]
            for slab in self._slabs(state.curr, budget):
                hidden = slab.clear_halo_(layer.hidden(slab.read(curr, layer.dtype), slab.padding))
                force = layer.transposed(hidden, slab.padding)
                state.watch_(state.grid.leapfrog_(slab.core(prev), slab.core(curr), force))

    def _adjoint_slab(
        self, state: Pair, adjoint: Pair, layer: PreparedLayer, sample: int, slab: Slab
    ) -> tuple[Tensor, Tensor]:
        prev, curr = state.prev[sample], state.curr[sample]
        u_prev, u_curr = adjoint.prev[sample], adjoint.curr[sample]
        padding = slab.padding
        y = slab.read(curr, layer.dtype)
        hidden = slab.clear_halo_(layer.hidden(y, padding))
        # The same call on the same input as in _step_: the same bits, so the inverse is exact.
        state.grid.leapfrog_(slab.core(prev), slab.core(curr), layer.transposed(hidden, padding))
        u = slab.read(u_curr, layer.dtype)
        # relu' is zero wherever hidden is, so the halo outside the field stays zero.
        d = torch.ops.aten.threshold_backward(layer.linear(u, padding), hidden, 0)
        adjoint.grid.leapfrog_(slab.core(u_prev), slab.core(u_curr), layer.transposed(d, padding))
        # f appears in the loss as -<u, h^2 K^T relu(K y + b)>: once through K^T, once through K. d carries the grid's unit,
        # which y, in grid units, cancels.
        outer, inner = slab.inner(hidden), slab.inner(d)
        through_transposed = kernel_gradient(slab.inner(u), outer, layer.size, padding)
        through_layer = kernel_gradient(slab.inner(y), inner, layer.size, padding)
        scale = -(layer.step_size**2)
        bias = inner.sum((0, 1, 2), dtype=through_layer.dtype).mul_(scale / layer.unit)
        return through_transposed.add_(through_layer).mul_(scale), bias


class Coarsen:
    """Haar transform of both fields, one level coarser; in place."""

    def __init__(self, halve_time: bool) -> None:
        self.halve_time = halve_time

    def forward_(self, pair: Pair, budget: int) -> None:
        pair.prev = self._each(coarsen_, pair.prev, pair.grid, budget)
        pair.curr = self._each(coarsen_, pair.curr, pair.grid, budget)

    def inverse_(self, pair: Pair, budget: int) -> None:
        pair.prev = self._each(refine_, pair.prev, pair.grid, budget)
        pair.curr = self._each(refine_, pair.curr, pair.grid, budget)

    # The transform is orthonormal and linear: its adjoint is its inverse, the sign of u_prev included.
    adjoint_ = inverse_

    def _each(self, transform, fields: Tensor, grid: Grid, budget: int) -> Tensor:  # type: ignore[no-untyped-def]
        parts = [transform(sample, self.halve_time, grid, budget) for sample in fields]
        return fields.view(len(fields), *parts[0].shape)


class Refine:
    """The inverse of Coarsen: one level finer."""

    def __init__(self, halve_time: bool) -> None:
        self._coarsen = Coarsen(halve_time)

    def forward_(self, pair: Pair, budget: int) -> None:
        self._coarsen.inverse_(pair, budget)

    def inverse_(self, pair: Pair, budget: int) -> None:
        self._coarsen.forward_(pair, budget)

    adjoint_ = inverse_
