"""The symmetric block-low-rank layer K^T s(K y + b).

K is a k x k x k convolution from C channels to ``rank`` channels. Over flattened tensors it is a block matrix with ``rank``
block rows, so K^T s(K y + b) is symmetric and of low block rank: rank C k^3 parameters instead of C^2 k^3.
Source: Peters, Haber, Lensink, "Symmetric block-low-rank layers for fully reversible multilevel neural networks",
arXiv:1912.12137.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg.reversible.activation import Activation, activation_of
from revseg.reversible.norm import matrix_norms, operator_bounds

Size = tuple[int, int, int]
NORMS = {"operator": operator_bounds, "matrix": matrix_norms}


class SymmetricLayer(nn.Module):
    """A symmetric block-low-rank layer: f(y) = K^T s(K y + b), with K bounded in norm (``normalised_kernel``).

    channels: C, any number; rank: output channels of K; kernel_size: odd, one number or one for each of T, H and W;
    activation: relu, leaky_relu, tanh, softplus, identity, or an ``Activation`` of one's own. norm: how K is bounded,
    "operator" for any depth, "matrix" for shallow networks (``normalised_kernel``).

    Parameters: kernel (rank, C, k, k, k) and bias (rank,), float32. Called on its own it maps (N, C, T, H, W) to the same shape
    and dtype under ordinary autograd, zero padded; a ``Leapfrog`` computes it in slabs, in the sequence's convolution_dtype.
    Raises ValueError for an even kernel size, an unknown activation, or channels or rank below 1.
    Source: Peters, Haber, Lensink, arXiv:1912.12137.
    """

    def __init__(
        self,
        channels: int,
        rank: int,
        kernel_size: int | Size = 3,
        *,
        activation: str | Activation = "relu",
        norm: str = "operator",
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm is {norm}; choose one of {', '.join(NORMS)}")
        size = (kernel_size,) * 3 if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(size) != 3 or any(side < 1 or side % 2 == 0 for side in size):
            raise ValueError(f"kernel_size is {kernel_size}; give an odd number, or three of them for T, H and W")
        if channels < 1 or rank < 1:
            raise ValueError(f"channels and rank are {channels} and {rank}; give whole numbers of at least 1")
        self.channels, self.rank, self.kernel_size = channels, rank, size
        self.activation, self.norm = activation_of(activation), norm
        self.kernel = nn.Parameter(torch.empty(rank, channels, *size))
        self.bias = nn.Parameter(torch.zeros(rank))
        # Rows of norm about 1.
        nn.init.normal_(self.kernel, std=(channels * size[0] * size[1] * size[2]) ** -0.5)

    def normalised_kernel(self) -> Tensor:
        """Returns K / max(1, B); differentiable. Without it a state blows up as soon as its kernels grow.

            norm="operator"    B is at least the norm of K as an operator on fields (``operator_bound``)
            norm="matrix"      B is the largest singular value of K as a matrix (``matrix_norms``)

        The leapfrog y'' = -h^2 K^T s(K y + b) is stable as long as h^2 ||K||^2 <= 4, for an activation whose slope is at most 1:
        with norm="operator", for every step size h up to 2 and any number of blocks. norm="matrix" lets K amplify smooth
        fields up to sqrt(k^3) times: a few blocks a level learn more with it, dozens leave every range.
        """
        return normalised_kernels([self])[0]

    def forward(self, y: Tensor) -> Tensor:
        """Computes K^T s(K y + b) under ordinary autograd: (N, C, T, H, W) -> the same shape and dtype as y."""
        kernel = self.normalised_kernel().to(y.dtype)
        padding = [side // 2 for side in self.kernel_size]
        hidden = self.activation.function(F.conv3d(y, kernel, self.bias.to(y.dtype), padding=padding))
        return F.conv3d(hidden, kernel.flip(2, 3, 4).transpose(0, 1), padding=padding)

    def extra_repr(self) -> str:
        return f"{self.channels}, rank={self.rank}, kernel_size={self.kernel_size}, activation={self.activation.name}"


def normalised_kernels(layers: Sequence[SymmetricLayer]) -> list[Tensor]:
    """Returns ``normalised_kernel`` of each layer; the norms are computed together."""
    found: dict[int, Tensor] = {}
    for name, norms in NORMS.items():
        members = [index for index, layer in enumerate(layers) if layer.norm == name]
        bounds = norms([layers[index].kernel for index in members])
        found |= {index: layers[index].kernel / bound.clamp(min=1.0) for index, bound in zip(members, bounds, strict=True)}
    return [found[index] for index in range(len(layers))]
