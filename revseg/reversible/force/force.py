"""What every way to compute the force of a symmetric layer shares: its shape, its loop over samples, its signature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.activation import Activation
from revseg.reversible.grid import Grid
from revseg.reversible.state import State

Gradients = tuple[Tensor | None, ...]
"""d(loss)/d(operand) of each operand; None where it is not needed."""
Fields = tuple[Tensor, Tensor]
"""(partner, curr) of one sample, (T, H, W, C) each."""


@dataclass(frozen=True)
class Layout:
    """Everything about a layer that the choice of its implementation depends on, besides the device."""

    channels: int
    rank: int
    kernel_size: tuple[int, int, int]
    activation: Activation
    convolution_dtype: torch.dtype
    grid: Grid
    adjoint_dtype: torch.dtype

    @property
    def radii(self) -> tuple[int, int, int]:
        """Reach of K along T, H and W."""
        return self.kernel_size[0] // 2, self.kernel_size[1] // 2, self.kernel_size[2] // 2

    @property
    def taps(self) -> int:
        return self.kernel_size[0] * self.kernel_size[1] * self.kernel_size[2]

    @property
    def keeps_hidden(self) -> bool:
        """Whether network.keep_hidden keeps s(K y + b): in bfloat16 at most a quarter of a float32 state per block."""
        return self.channels >= 2 * self.rank


class Force(ABC):
    """f(y) = h^2 K^T s(K y + b), its operands cast, flipped and scaled once for one pass over a field.

    Fields hold integers in units of ``unit`` (1 in floating point); f comes in the same units.
    kernel: (rank, C, k, k, k), normalised; bias: (rank,).
    """

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout) -> None:
        self.layout, self.step_size, self.unit = layout, step_size, layout.grid.unit

    def kick_(self, state: State, budget: int, *, sign: int = 1, keep: list[list[Tensor]] | None = None) -> None:
        """Applies the force at ``state.curr`` to ``state.partner``, in place, and notes the magnitudes reached.

        budget: bytes of a slab's temporaries. sign: -1 takes a floating-point kick back. keep: gets s(K y + b) of each sample,
        slab by slab, where this is small beside the field (``Layout.keeps_hidden``).
        """
        for fields in zip(state.partner, state.curr, strict=True):
            hidden: list[Tensor] | None = [] if keep is not None and self.layout.keeps_hidden else None
            for magnitude in self.kick_sample_(fields, state.grid, budget=budget, sign=sign, keep=hidden):
                state.watch_(magnitude)
            if keep is not None:
                keep.append(hidden or [])

    def adjoint_(
        self, state: State, adjoint: State, budget: int, *, needs: tuple[bool, ...], kept: list[list[Tensor]] | None = None
    ) -> Gradients:
        """Takes the kick of the state back and applies that of the linearised force to the adjoint, both in place.

        kept: what ``kick_`` put into ``keep``. Returns d(loss)/dK and d(loss)/db, new tensors, where ``needs`` asks for them.
        """
        hidden, totals = iter(kept or []), [None] * len(needs)
        for partner, curr, velocity, u in zip(state.partner, state.curr, adjoint.partner, adjoint.curr, strict=True):
            parts = self.adjoint_sample_(
                (partner, curr),
                (velocity, u),
                grids=(state.grid, adjoint.grid),
                budget=budget,
                kept=next(hidden, None),
                needs=needs,
            )
            totals = [total_of(*pair) for pair in zip(totals, parts, strict=True)]  # type: ignore[misc]
        return tuple(totals)

    @abstractmethod
    def kick_sample_(self, fields: Fields, grid: Grid, *, budget: int, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        """Kicks one sample; returns the magnitudes reached, in grid units, of an exact grid."""

    @abstractmethod
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
        """Treats one sample as ``adjoint_`` says; grids: those of the state and of the adjoint."""


def total_of(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    """Adds ``part`` to ``total`` in place; None counts as zero."""
    return part if total is None else total if part is None else total.add_(part)
