"""A symmetric layer on a wide field: its channels outnumber the rank many times (the coarse levels).

The hidden activations are small beside the state there, so those of the whole field are kept and no slab computes a halo:

    K y      one matrix product C -> k^3 rank at every position, then k^3 shifted sums
    K^T a    neighbourhoods of a (k^3 rank at every position), then one matrix product -> C

Two plain matrix products do all the work, on CPU and GPU, and oneDNN's convolution of thousands of channels, which hangs
for minutes in bfloat16, is never called.
"""

from __future__ import annotations

import torch
from torch import Tensor

from revseg.reversible.grid import Grid
from revseg.reversible.layer import keeps_hidden
from revseg.reversible.slab import Slab, slabs


def is_wide(channels: int, rank: int) -> bool:
    """Whether a layer runs as ``WideLayer``: a rule of its shape alone, so that every pass takes the same implementation.

    As fast as convolutions from 256 channels on (rank 16; measured, CPU), 3 times faster at 2048.
    """
    return channels >= min(64 * rank, 1024)


class WideLayer:
    """f(y) = h^2 K^T relu(K y + b) and its adjoint on whole fields; y in units of ``unit``, f likewise.

    kernel: (rank, C, k, k, k), bias: (rank,); products in ``dtype``, their sums in float32 (float64 for float64).
    """

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, unit: float, dtype: torch.dtype) -> None:
        self.rank, self.channels, self.size = kernel.shape[:3]
        self.radius = self.size // 2
        self.step_size, self.unit, self.dtype = step_size, unit, dtype
        self.sum_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self.bias = bias.to(self.sum_dtype)
        # Columns of ``narrow`` and rows of ``widen``: (dt, dh, dw, rank). K^T reaches the other way, hence the flip.
        self._narrow = (kernel * unit).permute(1, 2, 3, 4, 0).reshape(self.channels, -1).to(dtype)
        self._widen = (kernel * (step_size**2 / unit)).flip(2, 3, 4).permute(2, 3, 4, 0, 1).reshape(-1, self.channels).to(dtype)

    def step_(self, prev: Tensor, curr: Tensor, grid: Grid, budget: int, keep: list[Tensor] | None = None) -> list[Tensor]:
        """See ``revseg.reversible.block.Layer``."""
        hidden = self._hidden(curr, grid, budget)
        if keep is not None and keeps_hidden(self.channels, self.rank):
            keep.append(hidden)
        reached = []
        for slab in self._slabs(curr, grid, budget):
            force = self._force(self._columns(hidden, slab))
            reached.append(grid.leapfrog_(slab.core(prev), slab.core(curr), force))
        return [magnitude for magnitude in reached if magnitude is not None]

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
        """See ``revseg.reversible.block.Layer``."""
        hidden = kept[0] if kept else self._hidden(curr, grid, budget)
        d = self._framed(self._sums(u_curr, grid, budget).mul_(self._inner(hidden) > 0))
        gradient = torch.zeros(self._widen.shape, dtype=self.sum_dtype, device=curr.device)
        for slab in self._slabs(curr, grid, budget):
            gradient += self._adjoint_slab(
                slab, hidden, d, state=(prev, curr), adjoint=(u_prev, u_curr), grids=(grid, adjoint_grid)
            )
        scale = -(self.step_size**2)
        shape = (self.size, self.size, self.size, self.rank, self.channels)
        kernel = gradient.view(shape).flip(0, 1, 2).permute(3, 4, 0, 1, 2).mul(scale)
        return kernel, self._inner(d).sum((0, 1, 2), dtype=self.sum_dtype).mul_(scale / self.unit)

    def _adjoint_slab(
        self,
        slab: Slab,
        hidden: Tensor,
        d: Tensor,
        state: tuple[Tensor, Tensor],
        adjoint: tuple[Tensor, Tensor],
        grids: tuple[Grid, Grid],
    ) -> Tensor:
        gradient = None
        # a beside u, d beside y: <u, K^T a> and <d, K y> have the same form in K.
        for small, stepped, beside, grid in ((hidden, state, adjoint[1], grids[0]), (d, adjoint, state[1], grids[1])):
            columns = self._columns(small, slab)
            grid.leapfrog_(slab.core(stepped[0]), slab.core(stepped[1]), self._force(columns))
            field = slab.core(beside).to(self.dtype).reshape(-1, self.channels)
            part = (columns.reshape(-1, len(self._widen)).t() @ field).to(self.sum_dtype)
            gradient = part if gradient is None else gradient.add_(part)
        assert gradient is not None
        return gradient

    def _hidden(self, field: Tensor, grid: Grid, budget: int) -> Tensor:
        """relu(K y + b) of the whole field, framed with zeros."""
        return self._framed(self._sums(field, grid, budget).add_(self.bias).relu_())

    def _sums(self, field: Tensor, grid: Grid, budget: int) -> Tensor:
        """K y of the whole field: (T, H, W, C) -> (T, H, W, rank)."""
        r, size = self.radius, self.size
        frames, height, width = (n + 2 * r for n in field.shape[:3])
        total = torch.zeros(frames, height, width, self.rank, dtype=self.sum_dtype, device=field.device)
        for slab in self._slabs(field, grid, budget):
            part = slab.core(field).to(self.dtype)
            t, h, w = part.shape[:3]
            products = (part.reshape(-1, self.channels) @ self._narrow).view(t, h, w, size**3, self.rank)
            for index in range(size**3):
                # y(q) enters K y at p = q - d: d = -r .. r, so p starts at 2 r .. 0 in the framed field.
                dt, dh, dw = (2 * r - d for d in (index // size**2, index // size % size, index % size))
                t0, h0 = slab.start + dt, slab.top + dh
                total[t0 : t0 + t, h0 : h0 + h, dw : dw + w] += products[..., index, :]
        return self._inner(total)

    def _force(self, columns: Tensor) -> Tensor:
        """h^2 K^T a in grid units."""
        return (columns.reshape(-1, len(self._widen)) @ self._widen).view(*columns.shape[:3], self.channels)

    def _columns(self, framed: Tensor, slab: Slab) -> Tensor:
        """Neighbourhoods of a slab's positions: (t, h, w, k, k, k rank)."""
        r, size = self.radius, self.size
        part = framed[slab.start : slab.stop + 2 * r, slab.top : slab.bottom + 2 * r]
        over_t, over_h, over_w, _ = part.stride()
        shape = (slab.stop - slab.start, slab.bottom - slab.top, part.shape[2] - 2 * r, size, size, size * self.rank)
        return part.as_strided(shape, (over_t, over_h, over_w, over_t, over_h, 1), part.storage_offset()).contiguous()

    def _framed(self, small: Tensor) -> Tensor:
        """Casts to the dtype of the products, with ``radius`` zeros around: K^T is padded with zeros, not with relu(b)."""
        return torch.nn.functional.pad(small.to(self.dtype), (0, 0, *(self.radius,) * 6))

    def _inner(self, framed: Tensor) -> Tensor:
        r = self.radius
        frames, height, width = framed.shape[:3]
        return framed[r : frames - r, r : height - r, r : width - r]

    def _slabs(self, field: Tensor, grid: Grid, budget: int) -> list[Slab]:
        item = self.dtype.itemsize
        wide = 0 if grid.dtype.is_floating_point else 8
        per_position = self.channels * (2 * item + wide) + 2 * len(self._widen) * item
        return list(slabs(tuple(field.shape), radius=0, position_bytes=per_position, budget=budget))
