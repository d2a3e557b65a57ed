"""What every way to compute the force of a symmetric layer shares: its shape, its loops over samples and slabs, its signature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.activation import Activation
from revseg.reversible.force.slab import Slab
from revseg.reversible.grid import Grid
from revseg.reversible.state import State

Gradients = tuple[Tensor | None, ...]
"""d(loss)/d(operand) of each operand; None where it is not needed."""


@dataclass(frozen=True)
class Fields:
    """One sample of a state or of its adjoint: two fields (T, H, W, C) and the grid they live on."""

    partner: Tensor
    curr: Tensor
    grid: Grid


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
        for fields in samples(state):
            hidden: list[Tensor] | None = [] if keep is not None and self.layout.keeps_hidden else None
            for magnitude in self.kick_sample_(fields, budget, sign=sign, keep=hidden):
                state.watch_(magnitude)
            if keep is not None:
                keep.append(hidden or [])

    def adjoint_(
        self, state: State, adjoint: State, budget: int, *, needs: tuple[bool, ...], kept: list[list[Tensor]] | None = None
    ) -> Gradients:
        """Takes the kick of the state back and applies that of the linearised force to the adjoint, both in place.

        kept: what ``kick_`` put into ``keep``. Returns d(loss)/dK and d(loss)/db, new tensors, where ``needs`` asks for them.
        """
        hidden = iter(kept or [])
        totals: Gradients = (None,) * len(needs)
        for fields, carried in zip(samples(state), samples(adjoint), strict=True):
            parts = self.adjoint_sample_(fields, carried, budget, kept=next(hidden, None), needs=needs)
            totals = totals_of(totals, parts)
        return self.scaled_(totals)

    def scaled_(self, sums: Gradients) -> Gradients:
        """Turns the sums over positions into the gradients, in place.

        The loss contains f as -<u, h^2 K^T s(K y + b)>. What was computed with y in grid units carries no unit; the bias does.
        """
        kernel, bias = sums
        scale = -(self.step_size**2)
        return None if kernel is None else kernel.mul_(scale), None if bias is None else bias.mul_(scale / self.unit)

    @abstractmethod
    def kick_sample_(self, fields: Fields, budget: int, *, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        """Kicks one sample; returns the magnitudes reached, in grid units, of an exact grid."""

    @abstractmethod
    def adjoint_sample_(
        self, fields: Fields, adjoint: Fields, budget: int, *, kept: list[Tensor] | None, needs: tuple[bool, ...]
    ) -> Gradients:
        """Treats one sample as ``adjoint_`` says; returns sums that ``scaled_`` turns into gradients."""


class SlabForce(Force):
    """A force that computes one slab after another, each from the field alone: the halo is computed again."""

    @abstractmethod
    def slabs(self, field: Tensor, budget: int) -> list[Slab]:
        """Returns the slabs of a field (T, H, W, C): the same in every pass."""

    @abstractmethod
    def read(self, curr: Tensor, slab: Slab) -> Tensor:
        """Returns y, which the convolutions of a slab read: a copy with its halo, or the field itself."""

    @abstractmethod
    def hidden(self, y: Tensor, slab: Slab) -> Tensor:
        """Returns s(K y + b) of a slab, with the halo of one convolution, zero outside the field."""

    @abstractmethod
    def kick_slab_(self, fields: Fields, slab: Slab, *, hidden: Tensor, sign: int = 1) -> Tensor | None:
        """Kicks a slab; returns the largest magnitude, 0-d, on an exact grid."""

    @abstractmethod
    def adjoint_slab_(
        self, fields: Fields, adjoint: Fields, slab: Slab, *, y: Tensor, hidden: Tensor, needs: tuple[bool, ...] = (True, True)
    ) -> Gradients:
        """Takes the kick back on a slab and kicks its adjoint; returns sums that ``scaled_`` turns into gradients."""

    def kick_sample_(self, fields: Fields, budget: int, *, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        reached = []
        for slab in self.slabs(fields.curr, budget):
            hidden = self.hidden(self.read(fields.curr, slab), slab)
            if keep is not None:
                keep.append(hidden)
            reached.append(self.kick_slab_(fields, slab, hidden=hidden, sign=sign))
        return [magnitude for magnitude in reached if magnitude is not None]

    def adjoint_sample_(
        self, fields: Fields, adjoint: Fields, budget: int, *, kept: list[Tensor] | None, needs: tuple[bool, ...]
    ) -> Gradients:
        totals: Gradients = (None,) * len(needs)
        for number, slab in enumerate(self.slabs(fields.curr, budget)):
            y = self.read(fields.curr, slab)
            hidden = kept[number] if kept else self.hidden(y, slab)
            totals = totals_of(totals, self.adjoint_slab_(fields, adjoint, slab, y=y, hidden=hidden, needs=needs))
        return totals


def samples(state: State) -> Iterator[Fields]:
    """Yields the samples of a state or an adjoint."""
    for partner, curr in zip(state.partner, state.curr, strict=True):
        yield Fields(partner, curr, state.grid)


def totals_of(totals: Gradients, parts: Gradients) -> Gradients:
    """Adds parts to their totals in place."""
    return tuple(total_of(total, part) for total, part in zip(totals, parts, strict=True))


def total_of(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    """Adds ``part`` to ``total`` in place; None counts as zero."""
    return part if total is None else total if part is None else total.add_(part)
