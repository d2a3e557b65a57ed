"""The force on a wide field: its channels outnumber the rank many times (the coarse levels).

The hidden activations are small beside the state there, so those of the whole field are kept and no slab computes a halo:

    K y      one matrix product C -> k^3 rank at every position, then k^3 shifted sums
    K^T a    neighbourhoods of a (k^3 rank at every position), then one matrix product -> C

Two plain matrix products do all the work, on CPU and GPU, and oneDNN's convolution of thousands of channels, which hangs
for minutes in bfloat16, is never called.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from revseg.reversible.force.force import Fields, Force, Gradients, Layout
from revseg.reversible.force.gradient import bias_gradient
from revseg.reversible.force.slab import Slab, slabs


def is_wide(channels: int, rank: int) -> bool:
    """Whether matrix products take a layer: a rule of its shape alone, so that every pass takes the same implementation.

    As fast as convolutions from 256 channels on (rank 16; measured, CPU), 3 times faster at 2048.
    """
    return channels >= min(64 * rank, 1024)


class ProductForce(Force):
    """The force by matrix products in the convolutions' dtype, their sums in float32 (float64 for float64)."""

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, layout: Layout) -> None:
        super().__init__(kernel, bias, step_size=step_size, layout=layout)
        self.dtype = dtype = layout.convolution_dtype
        self.sum_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self.bias = bias.to(self.sum_dtype)
        # Columns of ``narrow`` and rows of ``widen``: (dt, dh, dw, rank). K^T reaches the other way, hence the flip. Both lie in
        # memory column by column, as ``product`` needs them.
        self._narrow = (kernel * self.unit).permute(2, 3, 4, 0, 1).reshape(-1, layout.channels).to(dtype).t()
        flipped = (kernel * (step_size**2 / self.unit)).flip(2, 3, 4)
        self._widen = flipped.permute(1, 2, 3, 4, 0).reshape(layout.channels, -1).to(dtype).t()

    def kick_sample_(self, fields: Fields, budget: int, *, sign: int, keep: list[Tensor] | None) -> list[Tensor]:
        hidden = self._hidden(fields.curr, budget)
        if keep is not None:
            keep.append(hidden)
        reached = []
        for slab in self._slabs(fields.curr, budget):
            reached.append(self._kick_(fields, slab, columns=self._columns(hidden, slab), sign=sign))
        return [magnitude for magnitude in reached if magnitude is not None]

    def adjoint_sample_(
        self, fields: Fields, adjoint: Fields, budget: int, *, kept: list[Tensor] | None, needs: tuple[bool, ...]
    ) -> Gradients:
        hidden = kept[0] if kept else self._hidden(fields.curr, budget)
        gate = self.layout.activation.gate
        d = self._framed(gate(self._sums(adjoint.curr, budget), self._inner(hidden).to(self.sum_dtype)))
        slabs = self._slabs(fields.curr, budget)
        return self._adjoint_(fields, adjoint, slabs, hidden=hidden, d=d, needs=needs)

    def _adjoint_(
        self, fields: Fields, adjoint: Fields, slabs: list[Slab], *, hidden: Tensor, d: Tensor, needs: tuple[bool, ...]
    ) -> Gradients:
        """Kicks both fields by a and d, framed; returns sums for the gradients."""
        layout = self.layout
        gradient = torch.zeros(self._widen.shape, dtype=self.sum_dtype, device=d.device) if needs[0] else None
        for slab in slabs:
            # a beside u, d beside y: <u, K^T a> and <d, K y> have the same form in K.
            for small, stepped, beside, sign in ((hidden, fields, adjoint, -1), (d, adjoint, fields, 1)):
                columns = self._columns(small, slab)
                self._kick_(stepped, slab, columns=columns, sign=sign)
                if gradient is not None:
                    field = slab.core(beside.curr).to(self.dtype).reshape(-1, layout.channels)
                    gradient += (columns.reshape(-1, len(self._widen)).t() @ field).to(self.sum_dtype)
        if gradient is not None:
            gradient = gradient.view(*layout.kernel_size, layout.rank, layout.channels).flip(0, 1, 2).permute(3, 4, 0, 1, 2)
        return gradient, bias_gradient(self._inner(d)) if needs[1] else None

    def _hidden(self, field: Tensor, budget: int) -> Tensor:
        """s(K y + b) of the whole field, framed with zeros."""
        return self._framed(self.layout.activation.function(self._sums(field, budget).add_(self.bias)))

    def _sums(self, field: Tensor, budget: int) -> Tensor:
        """K y of the whole field: (T, H, W, C) -> (T, H, W, rank)."""
        return self._inner(self._framed_sums(field, budget))

    def _framed_sums(self, field: Tensor, budget: int) -> Tensor:
        """K y of the whole field and around it, as far as K reaches: (T + 2 r, H + 2 r, W + 2 r, rank)."""
        size, reach = self.layout.kernel_size, [2 * r for r in self.layout.radii]
        framed = [n + r for n, r in zip(field.shape[:3], reach, strict=True)]
        total = torch.zeros(*framed, self.layout.rank, dtype=self.sum_dtype, device=field.device)
        for slab in self._slabs(field, budget):
            part = slab.core(field).to(self.dtype)
            t, h, w = part.shape[:3]
            products = product(part.reshape(-1, self.layout.channels), self._narrow).view(t, h, w, *size, self.layout.rank)
            for dt, dh, dw in np.ndindex(*size):
                # y(q) enters K y at p = q - d: d = -r .. r, so p starts at 2 r .. 0 in the framed field.
                t0, h0, w0 = slab.start + reach[0] - dt, slab.top + reach[1] - dh, reach[2] - dw
                total[t0 : t0 + t, h0 : h0 + h, w0 : w0 + w] += products[:, :, :, dt, dh, dw]
        return total

    def _kick_(self, fields: Fields, slab: Slab, *, columns: Tensor, sign: int) -> Tensor | None:
        """Kicks a slab by h^2 K^T a in grid units; columns: the neighbourhoods in a of its positions."""
        flat = product(columns.reshape(-1, len(self._widen)), self._widen)
        force = flat.view(*columns.shape[:3], self.layout.channels)
        return fields.grid.kick_(slab.core(fields.partner), slab.core(fields.curr), force, sign=sign)

    def _columns(self, framed: Tensor, slab: Slab) -> Tensor:
        """Neighbourhoods of a slab's positions: (t, h, w, k, k, k rank)."""
        (rt, rh, rw), size = self.layout.radii, self.layout.kernel_size
        part = framed[slab.start : slab.stop + 2 * rt, slab.top : slab.bottom + 2 * rh]
        over_t, over_h, over_w, _ = part.stride()
        rows = (slab.stop - slab.start, slab.bottom - slab.top, part.shape[2] - 2 * rw)
        shape = (*rows, size[0], size[1], size[2] * self.layout.rank)
        return part.as_strided(shape, (over_t, over_h, over_w, over_t, over_h, 1), part.storage_offset()).contiguous()

    def _framed(self, small: Tensor) -> Tensor:
        """Casts to the dtype of the products, with a frame of zeros around: K^T is padded with zeros, not with s(b)."""
        rt, rh, rw = self.layout.radii
        return torch.nn.functional.pad(small.to(self.dtype), (0, 0, rw, rw, rh, rh, rt, rt))

    def _inner(self, framed: Tensor) -> Tensor:
        (rt, rh, rw), (frames, height, width) = self.layout.radii, framed.shape[:3]
        return framed[rt : frames - rt, rh : height - rh, rw : width - rw]

    def _slabs(self, field: Tensor, budget: int) -> list[Slab]:
        item = self.dtype.itemsize
        wide = 0 if field.dtype.is_floating_point else 8
        per_position = self.layout.channels * (2 * item + wide) + 2 * len(self._widen) * item
        return list(slabs(tuple(field.shape), radii=(0, 0, 0), position_bytes=per_position, budget=budget))


def product(rows: Tensor, matrix: Tensor) -> Tensor:
    """Returns rows @ matrix, in float32 on a CPU the same bits whatever the number of threads.

    oneDNN's 1 x 1 convolution shares positions and columns out to threads, never the terms of a sum; a matrix product of other
    libraries may split long sums by the number of threads. Both take the same time. A matrix whose transpose is contiguous is not
    copied.
    """
    ours = rows.device.type == "cpu" and rows.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    if ours and not torch.compiler.is_exporting():
        kernel = matrix.t()[:, :, None, None, None].contiguous(memory_format=torch.channels_last_3d)
        batch = rows.view(1, len(rows), 1, 1, -1).permute(0, 4, 1, 2, 3)
        found = torch.mkldnn_convolution(batch, kernel, None, (0, 0, 0), (1, 1, 1), (1, 1, 1), 1)
        return found.permute(0, 2, 3, 4, 1).reshape(len(rows), -1)
    return rows @ matrix


def temporary_bytes(layout: Layout, shape: tuple[int, ...], budget: int, training: bool) -> int:
    """Bytes of the hidden activations of a whole field (T, H, W, C), and of the temporaries of its largest slab."""
    positions = shape[0] * shape[1] * shape[2]
    item = layout.convolution_dtype.itemsize
    kept = positions * layout.rank * (4 + item * (2 if training else 1))
    return kept + min(budget, positions * layout.channels * 3 * item)
