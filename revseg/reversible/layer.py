"""The symmetric block-low-rank layer K^T relu(K y + b).

K is a k x k x k convolution from C channels to ``rank`` channels. Over flattened tensors it is a block matrix with ``rank``
block rows, so K^T relu(K y + b) is symmetric and of low block rank: rank C k^3 parameters instead of C^2 k^3.
Source: Peters, Haber, Lensink, "Symmetric block-low-rank layers for fully reversible multilevel neural networks", arXiv:1912.12137.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from revseg.reversible.convolution import Convolution


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
            left = torch.linalg.eigh(matrix @ matrix.t()).eigenvectors[:, -1]
        sigma = torch.linalg.vector_norm((left[:, None] * matrix).sum(0))
        return self.kernel / sigma.clamp(min=1.0)


class PreparedLayer:
    """A layer's convolutions for one pass: cast, flipped and scaled once, then applied to every slab.

    Fields hold integers in units of ``unit`` (1 in floating point). K takes the unit in, K^T takes h^2 / unit:

        hidden(y)     = relu(K y + b)          y in grid units, hidden in values
        transposed(a) = h^2 K^T a / unit       in grid units
    """

    def __init__(self, kernel: Tensor, bias: Tensor, step_size: float, unit: float, dtype: torch.dtype) -> None:
        self.size = kernel.shape[-1]
        self.step_size, self.unit, self.dtype = step_size, unit, dtype
        # K^T as an ordinary convolution with the flipped, transposed kernel: F.conv_transpose3d is 10 times slower on CPU.
        flipped = kernel.flip(2, 3, 4).transpose(0, 1)
        self._forward = Convolution((kernel * unit).to(dtype), bias.to(dtype))
        self._linear = Convolution(self._forward.kernel)
        self._transposed = Convolution((flipped * (step_size**2 / unit)).to(dtype))

    def hidden(self, field: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """relu(K y + b): (t, h, w, C) -> (t', h', w', rank)."""
        return self._forward(field, padding).relu_()

    def linear(self, field: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """K y, without bias."""
        return self._linear(field, padding)

    def transposed(self, hidden: Tensor, padding: tuple[int, int, int]) -> Tensor:
        """h^2 K^T a / unit: (t, h, w, rank) -> (t', h', w', C)."""
        return self._transposed(hidden, padding)
