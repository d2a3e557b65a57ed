"""Two fields that step through time together: a state or its adjoint, in the form that loses least.

    exact      (prev, curr), integers:          kick      prev <- 2 curr - prev - round(f)      then the two swap names
    floating   (velocity, curr), u + v form:    kick      velocity <- velocity - f              then curr <- curr + velocity

Both are the leapfrog next = 2 curr - prev - f with velocity = curr - prev. In floating point the difference of two
fields close to each other would keep few bits: the velocity is stored instead, in the same memory, and round-off grows with
the depth rather than with its square (Hairer, Lubich, Wanner, "Geometric Numerical Integration", VIII.5). On integers nothing
is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from revseg.reversible.grid import Grid, pieces


@dataclass
class State:
    """Two fields (N, T, H, W, C), contiguous, with the grid they live on: a state, or its adjoint.

    It holds what ``grid.dtype`` stores, in units of ``grid.unit``; ``pair`` and ``values`` return values. Blocks change it in
    place.
    ``from_pair`` and ``at_rest`` make one; ``ReversibleSequence.begin`` returns the pass that takes it.
    The form of the adjoint: Hairer, Lubich, Wanner, "Geometric Numerical Integration", VIII.5.
    """

    partner: Tensor
    """prev on an exact grid; in floating point the velocity, curr - prev."""
    curr: Tensor
    grid: Grid
    range: Tensor | None = None
    """Largest magnitude so far in grid units, 0-d; None in floating point."""
    scale: Tensor | None = None
    """What an adjoint in float16 was multiplied with, 0-d: a power of two, so that its values keep all their bits."""

    @classmethod
    def from_pair(cls, prev: Tensor, curr: Tensor, grid: Grid) -> State:
        """Stores values (N, C, T, H, W) in memory of their own."""
        partner = prev if grid.exact else curr.to(grid.dtype) - prev.to(grid.dtype)
        return cls(_field(partner, grid), _field(curr, grid), grid)

    @classmethod
    def at_rest(cls, field: Tensor, grid: Grid) -> State:
        """Returns the state (y, y) that starts from a stored field, which it takes over."""
        return cls(field.clone() if grid.exact else torch.zeros_like(field), field, grid)

    def values(self, dtype: torch.dtype, part: Callable[[Tensor], Tensor] = lambda field: field) -> tuple[Tensor, Tensor]:
        """Returns copies of the values (prev, curr) in ``dtype``, (N, T, H, W, C), of the part that a function cuts out."""
        partner, curr = (self.grid.load(part(field), dtype) for field in (self.partner, self.curr))
        return (partner if self.grid.exact else torch.sub(curr, partner, out=partner)), curr

    def pair(self) -> tuple[Tensor, Tensor]:
        """Returns the values (prev, curr) as (N, C, T, H, W), copies; float64 stays float64, all else becomes float32."""
        prev, curr = self.values(torch.float64 if self.grid.dtype == torch.float64 else torch.float32)
        return prev.permute(0, 4, 1, 2, 3), curr.permute(0, 4, 1, 2, 3)

    def advance_(self) -> None:
        """Ends a step forwards, after the kick of every slab."""
        if self.grid.exact:
            self.partner, self.curr = self.curr, self.partner
        else:
            _add_(self.curr, self.partner, sign=1)

    def retreat_(self) -> None:
        """Begins a step backwards, before the kick of any slab."""
        if self.grid.exact:
            self.partner, self.curr = self.curr, self.partner
        else:
            _add_(self.curr, self.partner, sign=-1)

    def watch_(self, magnitude: Tensor | None) -> None:
        """Takes note of a magnitude (grid units) that a kick has reached."""
        if magnitude is not None:
            self.range = magnitude if self.range is None else torch.maximum(self.range, magnitude)

    def watch_fields_(self) -> None:
        """Takes note of the largest magnitude of both fields."""
        self.watch_(self.grid.magnitude(self.partner))
        self.watch_(self.grid.magnitude(self.curr))

    def checksum(self) -> Tensor | None:
        """Returns a number for each field that differs (almost surely) where a bit does, (2,) int64; None in floating point.

        Integer sums do not depend on their order.
        """
        return torch.stack([_checksum(field) for field in (self.partner, self.curr)]) if self.grid.exact else None


def _field(values: Tensor, grid: Grid) -> Tensor:
    return grid.store(values.permute(0, 2, 3, 4, 1)).clone(memory_format=torch.contiguous_format)


def _add_(field: Tensor, velocity: Tensor, sign: int) -> None:
    for part, step in pieces(field.flatten(0, 1), velocity.flatten(0, 1)):
        part.add_(step, alpha=sign)


def scale_of(largest: Tensor) -> Tensor:
    """Returns the power of two that brings a magnitude to about 1, 0-d float32; 1 for zero and for what is not finite."""
    scale = torch.exp2(-torch.log2(largest.float()).round())
    return torch.where(torch.isfinite(scale) & (scale > 0), scale, torch.ones_like(scale))


# Words of 64 bits that are squared at a time.
CHECKED = {"cpu": 1 << 17, "cuda": 1 << 24}


def _checksum(field: Tensor) -> Tensor:
    """Sum of the squares of a field's words of 64 bits, modulo 2^64: errors of opposite sign do not cancel in it."""
    count = CHECKED.get(field.device.type, CHECKED["cpu"]) * (8 // field.itemsize)
    return torch.stack([_words(part).square().sum() for part in field.view(-1).split(count)]).sum()


def _words(part: Tensor) -> Tensor:
    """Packs the integers of a flat part of a field into words."""
    integers = part.to(torch.int32) if part.is_floating_point() else part  # float32 knows two zeros
    per_word = 8 // integers.itemsize
    return F.pad(integers, (0, -len(integers) % per_word)).view(torch.int64)
