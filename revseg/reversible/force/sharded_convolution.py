"""The force by convolutions on a shard: a volume whose frames before and after lie with other processes.

Slabs that reach no neighbour come first, and messages are under way meanwhile. The hidden frames of a slab are put together of
those that its own y tells, and of the ends, which ``revseg.reversible.force.boundary`` finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.reversible.force.boundary import Boundary, Ends, Sums
from revseg.reversible.force.convolution import Convolution, ConvolutionForce
from revseg.reversible.force.force import Fields, Gradients, Layout, totals_of
from revseg.reversible.force.gradient import bias_gradient, kernel_gradient
from revseg.reversible.force.slab import Slab, read
from revseg.reversible.shard import Shard


@dataclass(frozen=True)
class Reach:
    """The hidden frames of a slab of a shard, [start - r, stop + r), by where they come from."""

    slab: Slab
    left: bool
    """Whether there is a neighbour before the shard."""
    right: bool

    @property
    def inner(self) -> tuple[int, int]:
        """The frames [first, last) that the shard's own y tells, between the ends."""
        first, last = self.read
        reach = self.slab.radii[0]
        return first + reach, max(first + reach, last - reach)

    @property
    def read(self) -> tuple[int, int]:
        """The frames of y that these depend on, those of the slab among them."""
        slab, reach = self.slab, self.slab.radii[0]
        first = max(slab.start - reach, reach if self.left else 0)
        last = min(slab.stop + reach, slab.frames - (reach if self.right else 0))
        return first - reach, last + reach

    @property
    def asks(self) -> bool:
        """Whether it takes frames of the ends."""
        slab, reach = self.slab, self.slab.radii[0]
        return (self.left and slab.start < 2 * reach) or (self.right and slab.stop > slab.frames - 2 * reach)

    @property
    def padding(self) -> tuple[int, int, int]:
        """Zero padding of the convolutions: along T the halo is part of the slab in any case."""
        return (0, *self.slab.padding[1:])

    def whole(self, inner: Tensor, ends: Ends | None) -> Tensor:
        """Puts the hidden frames together, zero outside the volume. inner: (t, h, W, rank)."""
        slab, reach = self.slab, self.slab.radii[0]
        begin, stop = slab.start - reach, slab.stop + reach
        high, low = (slab.top - slab.radii[1], slab.bottom + slab.radii[1]) if slab.splits_height else (0, slab.height)
        rows, there = slice(max(high, 0) - high, min(low, slab.height) - high), slice(max(high, 0), min(low, slab.height))
        first, last = self.inner
        whole = inner.new_zeros(stop - begin, *inner.shape[1:])
        whole[first - begin : last - begin, rows] = inner[:, rows]
        if ends is not None and ends.left is not None and begin < reach:
            whole[: reach - begin, rows] = ends.left[slab.start :, there]
        if ends is not None and ends.right is not None and stop > slab.frames - reach:
            count = min(stop - (slab.frames - reach), stop - begin)
            at = stop - count - (slab.frames - reach)
            whole[-count:, rows] = ends.right[at : at + count, there]
        return whole


class ShardedConvolutionForce(ConvolutionForce):
    """The force by convolutions, slab by slab, with neighbours along T."""

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout, shard: Shard) -> None:
        super().__init__(kernel, bias, step_size=step_size, layout=layout)
        self.shard, self.reach = shard, layout.radii[0]
        self.left, self.right = shard.index > 0, shard.index < shard.count - 1
        # Sums of two processes: each is rounded to the dtype of the convolutions once they are whole, as others are.
        self.wide = torch.float64 if self.dtype == torch.float64 else torch.float32
        self.partial = Convolution(self.affine.kernel.to(self.wide))
        self.wide_bias = bias.to(self.dtype).to(self.wide)

    def kick_sample_(self, fields: Fields, budget: int, *, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        boundary = Boundary(self.shard, self._sums(fields.curr), self.reach, hidden=self._activated)
        ends: Ends | None = None
        reached = []
        for part in self._parts(fields.curr, budget):
            inner = self._inner(self._read(fields.curr, part), part)
            if part.asks and ends is None:
                ends = boundary.ends()
            hidden = part.whole(inner, ends)
            if keep is not None:
                keep.append(hidden)
            reached.append(self._kick_(fields, part, hidden=hidden, sign=sign))
            boundary.advance()
        if keep is not None and ends is not None:
            keep.extend(end for end in (ends.left, ends.right) if end is not None)
        return [magnitude for magnitude in reached if magnitude is not None]

    def adjoint_sample_(
        self, fields: Fields, adjoint: Fields, budget: int, *, kept: list[Tensor] | None, needs: tuple[bool, ...]
    ) -> Gradients:
        parts = self._parts(fields.curr, budget)
        known = self._kept_ends(kept[len(parts) :]) if kept else None
        boundary = self._both_ends(fields.curr, adjoint.curr, known)
        ends: tuple[Ends, Ends] | None = None
        totals: Gradients = (None,) * len(needs)
        for number, part in enumerate(parts):
            y, u = self._read(fields.curr, part), self._read(adjoint.curr, part)
            first, last = (frame - part.slab.start + self.reach for frame in part.inner)
            a = kept[number][first:last] if kept else self._inner(y, part)
            d = self.layout.activation.gate(self._convolved(self.linear, u, part), a)
            if part.asks and ends is None:
                ends = self._told(boundary.ends(), known)
            a, d = (part.whole(inner, None if ends is None else ends[i]) for i, inner in enumerate((a, d)))
            self._kick_(fields, part, hidden=a, sign=-1)
            self._kick_(adjoint, part, hidden=d)
            totals = totals_of(totals, self._gradients(part, y=y, u=u, hidden=(a, d), needs=needs))
            boundary.advance()
        return totals

    def _parts(self, field: Tensor, budget: int) -> list[Reach]:
        """Returns the slabs, those that take no frames of the ends first."""
        parts = [Reach(slab, self.left, self.right) for slab in self.slabs(field, budget)]
        return sorted(parts, key=lambda part: part.asks)

    def _read(self, field: Tensor, part: Reach) -> Tensor:
        return read(field, frames=part.read, rows=part.slab.rows, dtype=self.dtype)

    def _inner(self, y: Tensor, part: Reach) -> Tensor:
        return self.layout.activation.function(self._convolved(self.affine, y, part))

    def _convolved(self, convolution: Convolution, y: Tensor, part: Reach) -> Tensor:
        if len(y) > 2 * self.reach:
            return convolution(y, part.padding)
        rows, columns = (y.shape[axis] + 2 * part.padding[axis] - 2 * self.layout.radii[axis] for axis in (1, 2))
        return y.new_empty(0, rows, columns, self.layout.rank)  # the ends are all there is

    def _kick_(self, fields: Fields, part: Reach, *, hidden: Tensor, sign: int = 1) -> Tensor | None:
        force = self.transposed(hidden, part.padding)
        return fields.grid.kick_(part.slab.core(fields.partner), part.slab.core(fields.curr), force, sign=sign)

    def _gradients(
        self, part: Reach, *, y: Tensor, u: Tensor, hidden: tuple[Tensor, Tensor], needs: tuple[bool, ...]
    ) -> Gradients:
        """Sums over the slab's own y and u, which a and d with their halo stand beside: no halo of C channels is needed."""
        a, d = hidden
        slab, size, kernel = part.slab, self.layout.kernel_size, None
        if needs[0]:
            frames = slice(slab.start - part.read[0], slab.stop - part.read[0])
            rows = slice(slab.top - slab.rows[0], slab.bottom - slab.rows[0])
            kernel = kernel_gradient(a, u[frames, rows], size=size, padding=part.padding)
            kernel += kernel_gradient(d, y[frames, rows], size=size, padding=part.padding)
            kernel = kernel.flip(2, 3, 4).transpose(0, 1)
        own = d[self.reach : len(d) - self.reach]
        own = own[:, slab.radii[1] : own.shape[1] - slab.radii[1]] if slab.splits_height else own
        return kernel, bias_gradient(own) if needs[1] else None

    def _sums(self, field: Tensor) -> Sums:
        reach, frames = self.reach, len(field)
        if self.left and self.right and frames < 2 * reach:
            whole = self._partial(field, -reach, frames + reach)
            return Sums(whole[:reach], whole[reach:-reach], whole[-reach:])
        left = self._partial(field, -reach, reach) if self.left else None
        right = self._partial(field, frames - reach, frames + reach) if self.right else None
        own = [
            end for end in (None if left is None else left[reach:], None if right is None else right[:reach]) if end is not None
        ]
        return Sums(None if left is None else left[:reach], torch.cat(own), None if right is None else right[reach:])

    def _partial(self, field: Tensor, first: int, last: int) -> Tensor:
        """K y at frames [first, last), from the shard's own y."""
        y = read(field, frames=(first - self.reach, last + self.reach), rows=(0, field.shape[1]), dtype=self.dtype)
        return self.partial(y.to(self.wide), (0, *self.layout.radii[1:]))

    def _activated(self, sums: Tensor) -> Tensor:
        return self.layout.activation.function(sums + self.wide_bias).to(self.dtype)

    def _both_ends(self, curr: Tensor, u: Tensor, known: Ends | None) -> Boundary:
        """Begins to find the ends of a and d together; of d alone where those of a are known."""
        rank, gate = self.layout.rank, self.layout.activation.gate
        if known is not None:
            a = known.own(len(curr))
            return Boundary(self.shard, self._sums(u), self.reach, hidden=lambda sums: gate(sums, a.to(self.wide)).to(self.dtype))

        def hidden(sums: Tensor) -> Tensor:
            a = self._activated(sums[..., :rank])
            return torch.cat([a, gate(sums[..., rank:], a.to(self.wide)).to(self.dtype)], -1)

        return Boundary(self.shard, self._sums(curr).beside(self._sums(u)), self.reach, hidden=hidden)

    def _told(self, found: Ends, known: Ends | None) -> tuple[Ends, Ends]:
        rank = self.layout.rank
        return (found.part(slice(rank)), found.part(slice(rank, None))) if known is None else (known, found)

    def _kept_ends(self, kept: list[Tensor]) -> Ends:
        ends = iter(kept)
        return Ends(next(ends) if self.left else None, next(ends) if self.right else None)
