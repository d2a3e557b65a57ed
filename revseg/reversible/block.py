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
from typing import Protocol

import torch
from torch import Tensor

from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsen_, refine_


class Layer(Protocol):
    """f(y) = h^2 K^T relu(K y + b) prepared for one pass: ``PreparedLayer``, ``WideLayer`` or ``FusedLayer``."""

    def step_(self, prev: Tensor, curr: Tensor, grid: Grid, budget: int, keep: list[Tensor] | None = None) -> list[Tensor]:
        """Computes prev <- 2 curr - prev - f(curr) on fields (T, H, W, C); returns the magnitudes reached (grid units) if exact.

        keep: a list that gets relu(K curr + b), slab by slab, where this is small beside the field (``keeps_hidden``).
        """

    def adjoint_(
        self,
        prev: Tensor,
        curr: Tensor,
        u_prev: Tensor,
        u_curr: Tensor,
        grid: Grid,
        adjoint_grid: Grid,
        budget: int,
        kept: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Runs the same step, and on u the step with f linearised at curr; returns d(loss)/dK and d(loss)/db, new tensors.

        kept: what ``step_`` appended to ``keep``, if anything.
        """


@dataclass
class State:
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

    def watch_fields_(self) -> None:
        self.watch_(self.grid.magnitude(self.prev))
        self.watch_(self.grid.magnitude(self.curr))


class Leapfrog:
    """One step of the two-step recurrence with the layer ``index`` of the sequence."""

    def __init__(self, index: int) -> None:
        self.index = index

    def forward_(self, state: State, layer: Layer, budget: int, keep: list[list[Tensor]] | None = None) -> None:
        """Writes next = 2 curr - prev - f(curr) over prev; then (prev, curr) <- (curr, next)."""
        self._step_(state, layer, budget, keep=keep)
        state.swap_()

    def inverse_(self, state: State, layer: Layer, budget: int) -> None:
        """Recovers prev = 2 curr - next - f(curr): the recurrence is symmetric in time, so the same step runs on (next, curr)."""
        state.swap_()
        self._step_(state, layer, budget)

    def adjoint_(
        self, state: State, adjoint: State, layer: Layer, budget: int, kept: list[list[Tensor]] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Undoes the step on the state and carries the adjoint back through it; returns d(loss)/dK and d(loss)/db.

        It takes 8 convolutions, counting the 2 of forward: K y, K u, K^T a, K^T d and two kernel gradients; 7 where
        relu(K y + b) of each sample was ``kept``.
        """
        state.swap_()  # (next, curr), as in inverse_
        kernel, bias = None, None
        hidden = iter(kept or [])
        for fields in zip(state.prev, state.curr, adjoint.prev, adjoint.curr, strict=True):
            of_kernel, of_bias = layer.adjoint_(
                *fields, grid=state.grid, adjoint_grid=adjoint.grid, budget=budget, kept=next(hidden, None)
            )
            kernel = of_kernel if kernel is None else kernel.add_(of_kernel)
            bias = of_bias if bias is None else bias.add_(of_bias)
        assert kernel is not None
        assert bias is not None
        adjoint.swap_()
        return kernel, bias

    def _step_(self, state: State, layer: Layer, budget: int, keep: list[list[Tensor]] | None = None) -> None:
        for prev, curr in zip(state.prev, state.curr, strict=True):
            hidden: list[Tensor] | None = None if keep is None else []
            if keep is not None and hidden is not None:
                keep.append(hidden)
            for magnitude in layer.step_(prev, curr, state.grid, budget=budget, keep=hidden):
                state.watch_(magnitude)


class Coarsen:
    """Transforms both fields one level coarser (Haar), in place."""

    def __init__(self, halve_time: bool) -> None:
        self.halve_time = halve_time

    def forward_(self, pair: State, budget: int) -> None:
        pair.prev = self._each(coarsen_, pair.prev, grid=pair.grid, budget=budget)
        pair.curr = self._each(coarsen_, pair.curr, grid=pair.grid, budget=budget)

    def inverse_(self, pair: State, budget: int) -> None:
        pair.prev = self._each(refine_, pair.prev, grid=pair.grid, budget=budget)
        pair.curr = self._each(refine_, pair.curr, grid=pair.grid, budget=budget)

    # The transform is orthonormal and linear: its adjoint is its inverse, the sign of u_prev included.
    adjoint_ = inverse_

    def _each(self, transform, fields: Tensor, grid: Grid, budget: int) -> Tensor:  # type: ignore[no-untyped-def]
        parts = [transform(sample, halve_time=self.halve_time, grid=grid, group_bytes=budget) for sample in fields]
        return fields.view(len(fields), *parts[0].shape)


class Refine:
    """Transforms both fields one level finer, in place: the inverse of ``Coarsen``."""

    def __init__(self, halve_time: bool) -> None:
        self._coarsen = Coarsen(halve_time)

    def forward_(self, pair: State, budget: int) -> None:
        self._coarsen.inverse_(pair, budget)

    def inverse_(self, pair: State, budget: int) -> None:
        self._coarsen.forward_(pair, budget)

    adjoint_ = inverse_
