"""The symmetric block-low-rank layer K^T relu(K y + b).

K is a k x k x k convolution from C channels to ``rank`` channels. Over flattened tensors it is a block matrix with ``rank``
block rows, so K^T relu(K y + b) is symmetric and of low block rank: rank C k^3 parameters instead of C^2 k^3.
Source: Peters, Haber, Lensink, "Symmetric block-low-rank layers for fully reversible multilevel neural networks",
arXiv:1912.12137.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revseg.reversible.convolution import Convolution, kernel_gradient
from revseg.reversible.grid import Grid
from revseg.reversible.slab import Slab, slabs


class SymmetricLayer(nn.Module):
    """Parameters of f(y) = h^2 K^T relu(K y + b).

    kernel: (rank, C, k, k, k), float32; bias: (rank,).
    """

    def __init__(self, channels: int, rank: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(rank, channels, kernel_size, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(rank))
        # Norm 1 from the start: rows are close to orthogonal, so the norm of K is a little above that of one row.
        nn.init.normal_(self.kernel, std=(channels * kernel_size**3) ** -0.5)

    def normalised_kernel(self) -> Tensor:
        """K / max(1, sigma), sigma = spectral norm of K as a rank x C k^3 matrix; differentiable.

        Without it the state blows up as soon as the kernels grow: the recurrence is stable only for h^2 ||K||^2 below about 1.
        """
        matrix = self.kernel.flatten(1)
        with torch.no_grad(), torch.autocast(matrix.device.type, enabled=False):
            # The leading left singular vector u. d sigma = u^T dK v, so u may be held fixed in sigma = ||K^T u||.
            # eigh refuses nan; sigma below keeps it, so that the range check reports it.
            left = torch.linalg.eigh((matrix @ matrix.t()).nan_to_num_()).eigenvectors[:, -1]
        sigma = torch.linalg.vector_norm((left[:, None] * matrix).sum(0))
        return self.kernel / sigma.clamp(min=1.0)


class PreparedLayer:
    """Convolutions of a layer for one pass: cast, flipped and scaled once, then applied to every slab.

    Fields hold integers in units of ``unit`` (1 in floating point). K is scaled by the unit, K^T by h^2 / unit:

        hidden(y)     = relu(K y + b)          y in grid units, hidden in values
        transposed(a) = h^2 K^T a / unit       in grid units
    """

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, unit: float, dtype: torch.dtype) -> None:
        self.rank, self.channels, self.size = kernel.shape[:3]
        self.step_size, self.unit, self.dtype = step_size, unit, dtype
        # K^T as an ordinary convolution with the flipped, transposed kernel: F.conv_transpose3d is 10 times slower on CPU.
        flipped = kernel.flip(2, 3, 4).transpose(0, 1)
        self._forward = Convolution((kernel * unit).to(dtype), bias.to(dtype))
        self._linear = Convolution(self._forward.kernel)
        self._transposed = Convolution((flipped * (step_size**2 / unit)).to(dtype))

    def step_(self, prev: Tensor, curr: Tensor, grid: Grid, budget: int, keep: list[Tensor] | None = None) -> list[Tensor]:
        """See ``revseg.reversible.block.Layer``."""
        reached = []
        for slab in self._slabs(curr, grid, budget):
            hidden = slab.clear_halo_(self.hidden(slab.read(curr, self.dtype), slab.padding))
            if keep is not None and keeps_hidden(self.channels, self.rank):
                keep.append(hidden)
            force = self.transposed(hidden, slab.padding)
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
        kernel, bias = None, None
        for number, slab in enumerate(self._slabs(curr, grid, budget)):
            hidden = kept[number] if kept else None
            parts = self._adjoint_slab(slab, (prev, curr), (u_prev, u_curr), grid=grid, adjoint_grid=adjoint_grid, hidden=hidden)
            kernel = parts[0] if kernel is None else kernel.add_(parts[0])
            bias = parts[1] if bias is None else bias.add_(parts[1])
        assert kernel is not None
        assert bias is not None
        scale = -(self.step_size**2)
        return kernel.mul_(scale), bias.mul_(scale / self.unit)

    def _adjoint_slab(
        self,
        slab: Slab,
        state: tuple[Tensor, Tensor],
        adjoint: tuple[Tensor, Tensor],
        grid: Grid,
        adjoint_grid: Grid,
        hidden: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        padding = slab.padding
        y = slab.read(state[1], self.dtype)
        a = slab.clear_halo_(self.hidden(y, padding)) if hidden is None else hidden
        # The same call on the same input as in step_: the same bits, so the inverse is exact.
        grid.leapfrog_(slab.core(state[0]), slab.core(state[1]), self.transposed(a, padding))
        u = slab.read(adjoint[1], self.dtype)
        # relu' is zero wherever a is, so the halo outside the field stays zero.
        d = torch.ops.aten.threshold_backward(self.linear(u, padding), a, 0)
        adjoint_grid.leapfrog_(slab.core(adjoint[0]), slab.core(adjoint[1]), self.transposed(d, padding))
        # The loss contains f as -<u, h^2 K^T relu(K y + b)>, and K twice: through K^T and through K. d carries the grid's
        # unit: y, in grid units, cancels it; b does not.
        a, d = slab.inner(a), slab.inner(d)
        kernel = kernel_gradient(slab.inner(u), a, size=self.size, padding=padding)
        kernel += kernel_gradient(slab.inner(y), d, size=self.size, padding=padding)
        return kernel, d.sum((0, 1, 2), dtype=kernel.dtype)

    def hidden(self, field: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """relu(K y + b): (t, h, w, C) -> (t', h', w', rank)."""
        return self._forward(field, padding).relu_()

    def linear(self, field: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """K y, without bias."""
        return self._linear(field, padding)

    def transposed(self, hidden: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """h^2 K^T a / unit: (t, h, w, rank) -> (t', h', w', C)."""
        return self._transposed(hidden, padding)

    def _slabs(self, field: Tensor, grid: Grid, budget: int) -> list[Slab]:
        per_position = position_bytes(field.shape[-1], self.rank, convolution_dtype=self.dtype, state_dtype=grid.dtype)
        return list(slabs(tuple(field.shape), radius=self.size // 2, position_bytes=per_position, budget=budget))


def keeps_hidden(channels: int, rank: int) -> bool:
    """Whether network.keep_hidden keeps relu(K y + b) of a layer: in bfloat16 at most a quarter of a float32 state per block."""
    return channels >= 2 * rank


def position_bytes(channels: int, rank: int, convolution_dtype: torch.dtype, state_dtype: torch.dtype) -> int:
    """Bytes of a slab's temporaries per position, at their peak in the backward pass."""
    item = convolution_dtype.itemsize
    wide = 0 if state_dtype.is_floating_point else 8  # floating-point copy of curr
    return channels * (3 * item + wide) + rank * 3 * item
