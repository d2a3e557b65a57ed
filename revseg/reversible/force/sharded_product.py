"""The force by matrix products on a shard: its hidden activations are those of all its frames, framed by its neighbours'."""

from __future__ import annotations

import torch
from torch import Tensor

from revseg.reversible.force.boundary import Boundary, Ends, Sums
from revseg.reversible.force.force import Fields, Gradients, Layout
from revseg.reversible.force.product import ProductForce
from revseg.reversible.force.slab import Slab
from revseg.reversible.shard import Shard


class ShardedProductForce(ProductForce):
    """The force by matrix products, with neighbours along T."""

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout, shard: Shard) -> None:
        super().__init__(kernel, bias, step_size=step_size, layout=layout)
        self.shard, self.reach = shard, layout.radii[0]
        self.left, self.right = shard.index > 0, shard.index < shard.count - 1

    def kick_sample_(self, fields: Fields, budget: int, *, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        sums = self._framed_sums(fields.curr, budget)
        boundary = Boundary(self.shard, self._cut(sums), self.reach, hidden=self._activated)
        hidden = self._framed(self._activated(self._inner(sums)))
        boundary.advance()
        within, beside = self._shared(fields.curr, budget)
        reached = [self._kick_(fields, slab, columns=self._columns(hidden, slab), sign=sign) for slab in within]
        self._set_(hidden, boundary.ends())
        reached += [self._kick_(fields, slab, columns=self._columns(hidden, slab), sign=sign) for slab in beside]
        if keep is not None:
            keep.append(hidden)
        return [magnitude for magnitude in reached if magnitude is not None]

    def adjoint_sample_(
        self, fields: Fields, adjoint: Fields, budget: int, *, kept: list[Tensor] | None, needs: tuple[bool, ...]
    ) -> Gradients:
        hidden = kept[0] if kept else self._hidden_of_all(fields.curr, budget)
        inner, gate = self._inner(hidden).to(self.sum_dtype), self.layout.activation.gate
        sums = self._framed_sums(adjoint.curr, budget)
        a = self._cut(hidden).own.to(self.sum_dtype)
        boundary = Boundary(self.shard, self._cut(sums), self.reach, hidden=lambda whole: gate(whole, a).to(self.dtype))
        d = self._framed(gate(self._inner(sums), inner))
        self._set_(d, boundary.ends())
        within, beside = self._shared(fields.curr, budget)
        return self._adjoint_(fields, adjoint, [*within, *beside], hidden=hidden, d=d, needs=needs)

    def _hidden_of_all(self, field: Tensor, budget: int) -> Tensor:
        """s(K y + b) of the shard, framed with that of its neighbours."""
        sums = self._framed_sums(field, budget)
        boundary = Boundary(self.shard, self._cut(sums), self.reach, hidden=self._activated)
        hidden = self._framed(self._activated(self._inner(sums)))
        self._set_(hidden, boundary.ends())
        return hidden

    def _activated(self, sums: Tensor) -> Tensor:
        return self.layout.activation.function(sums + self.bias).to(self.dtype)

    def _cut(self, framed: Tensor) -> Sums:
        """Returns copies of the frames at the ends and beyond, without the frame along H and W."""
        _, rh, rw = self.layout.radii
        field = framed[:, rh : framed.shape[1] - rh, rw : framed.shape[2] - rw]
        reach, frames = self.reach, len(field) - 2 * self.reach
        own = [field[reach : 2 * reach]] if self.left else []
        if self.right:  # the r frames of both ends overlap where there are fewer than 2 r
            own.append(field[max(frames, reach + len(own) * reach) : reach + frames])
        before, behind = field[:reach].clone() if self.left else None, field[-reach:].clone() if self.right else None
        return Sums(before, torch.cat(own), behind)

    def _set_(self, framed: Tensor, ends: Ends) -> None:
        """Puts the frames at the ends and beyond into a framed field."""
        _, rh, rw = self.layout.radii
        field = framed[:, rh : framed.shape[1] - rh, rw : framed.shape[2] - rw]
        if ends.left is not None:
            field[: 2 * self.reach] = ends.left
        if ends.right is not None:
            field[-2 * self.reach :] = ends.right

    def _shared(self, field: Tensor, budget: int) -> tuple[list[Slab], list[Slab]]:
        """Returns the slabs that reach no frame of the ends, and the others."""
        slabs, frames = self._slabs(field, budget), len(field)
        beside = [
            slab
            for slab in slabs
            if (self.left and slab.start < 2 * self.reach) or (self.right and slab.stop > frames - 2 * self.reach)
        ]
        return [slab for slab in slabs if slab not in beside], beside
