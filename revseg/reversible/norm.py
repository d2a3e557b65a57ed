"""An upper bound of the norm of a convolution, by its Fourier transform.

K maps C to ``rank`` channels with taps K_d. On an infinite grid ||K|| is the supremum over frequencies w of the largest singular
value of the rank x C matrix

    K^(w) = sum over d of K_d exp(-i w d);

zero padding restricts K to a part of that grid, so its norm is no larger. The supremum is bounded from samples, 4 k + 4 along an
axis of 2 k + 1 taps (8 for the usual 3):

    sigma(w)   <= (tr G^16)^(1/32),  G = K^(w) K^(w)^H        Schatten norm: at most rank^(1/32) too large, 1.09 for 16
    ||K||      <= max over samples of sigma / cos(pi k / n)   for each axis: 1.082, in 3D 1.268

because <u, K^(w) v> is a trigonometric polynomial of degree k in each frequency (Ehlich and Zeller, "Schwankung von Polynomen
zwischen Gitterpunkten", 1964).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from revseg.reversible.force.product import product

# G is squared so often.
SQUARINGS = 3
# Bounds are rounded up to multiples of it: sums in another order, as with another number of threads, give the same bits.
QUANTUM = 2.0**-12


def operator_bound(kernel: Tensor) -> Tensor:
    """Returns a number of at least ||K||, 0-d, for a kernel (rank, C, kt, kh, kw) of odd sizes; differentiable.

    ||K|| is the largest factor by which the zero-padded convolution can stretch a field in the Euclidean norm, on a field of any
    size. The bound is at most 1.268 rank^(1/32) times the supremum over frequencies for 3 x 3 x 3 taps (rank or C, the smaller).
    float64 in, float64 out; all else float32, rounded up to a multiple of 2^-12: the same bits whatever the number of threads.
    Sources: Ehlich and Zeller, "Schwankung von Polynomen zwischen Gitterpunkten", 1964; the Fourier form of a convolution's norm:
    Sedghi, Gupta, Long, arXiv:1805.10408.
    """
    with torch.autocast(kernel.device.type, enabled=False):
        wide = kernel if kernel.dtype == torch.float64 else kernel.float()
        size = tuple(kernel.shape[2:])
        frequencies, slack = _samples(size)
        with torch.no_grad():
            worst = _schatten(_gram(wide, frequencies)).argmax()
        angles = (frequencies @ _positions(size).t()).to(wide.device)[worst]
        transform = torch.stack([angles.cos(), angles.sin()], 1).to(wide.dtype)
        real, imaginary = (wide.flatten(2) @ transform).double().unbind(2)
        if real.shape[0] > real.shape[1]:
            real, imaginary = real.t(), imaginary.t()
        across = imaginary @ real.t()
        gram = torch.complex(real @ real.t() + imaginary @ imaginary.t(), across - across.t())
        bound = slack * _schatten(gram[None])[0].sqrt()
        return bound if wide.dtype == torch.float64 else _rounded_up(bound)


def operator_bounds(kernels: Sequence[Tensor]) -> list[Tensor]:
    """Returns ``operator_bound`` of each kernel."""
    return [operator_bound(kernel) for kernel in kernels]


def matrix_norms(kernels: Sequence[Tensor]) -> list[Tensor]:
    """Returns the largest singular value of each K as a rank x C k^3 matrix, 0-d; differentiable; rounded up alike.

    The norm of K as an operator lies between 1 / sqrt(k^3) and sqrt(k^3) times it.
    """
    matrices = [kernel.flatten(1).double() for kernel in kernels]
    lefts = _leading_vectors([matrix.detach() for matrix in matrices])
    # The leading left singular vector u. d sigma = u^T dK v, so u may be held fixed in sigma = ||K^T u||.
    norms = [torch.linalg.vector_norm((u[:, None] * matrix).sum(0)) for u, matrix in zip(lefts, matrices, strict=True)]
    return [norm if kernel.dtype == torch.float64 else _rounded_up(norm) for kernel, norm in zip(kernels, norms, strict=True)]


@torch.no_grad()
def _leading_vectors(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Returns the left singular vector of the largest singular value of each matrix.

    Those of as many rows are found together: a GPU is waited for at each call of ``eigh``.
    """
    ranks: dict[tuple[int, torch.device], list[int]] = {}
    for index, matrix in enumerate(matrices):
        ranks.setdefault((len(matrix), matrix.device), []).append(index)
    found: dict[int, Tensor] = {}
    for (_, device), members in ranks.items():
        with torch.autocast(device.type, enabled=False):
            # eigh refuses nan; the norm keeps it, so that the range check reports it.
            grams = torch.stack([matrices[index] @ matrices[index].t() for index in members]).nan_to_num_()
            found |= zip(members, torch.linalg.eigh(grams).eigenvectors[:, :, -1], strict=True)
    return [found[index] for index in range(len(matrices))]


def _rounded_up(bound: Tensor) -> Tensor:
    """Rounds to the next multiple of the quantum, in float32; gradients pass straight through."""
    rounded = (bound.detach() / QUANTUM).ceil() * QUANTUM
    return (bound + (rounded - bound.detach())).float()


def _schatten(gram: Tensor) -> Tensor:
    """Bounds the largest eigenvalue of matrices (M, m, m), Hermitian, from above: (tr G^p)^(1/p), p = 2^(SQUARINGS + 1)."""
    # Scaled, so that powers stay in range; a matrix that is nothing but round-off stays small. nan reaches the bound, and the
    # range check of the state reports it.
    trace = gram.detach().diagonal(dim1=1, dim2=2).real.sum(1)
    scale = torch.maximum(trace, trace.amax() * 1e-6).clamp(min=1e-30)
    power = gram / scale[:, None, None]
    for _ in range(SQUARINGS):
        power = power @ power
    # The root of zero has no slope: without the clamp the gradient of a kernel of zeros would be nan.
    total = (power.real.square() + power.imag.square()).sum((1, 2)).clamp(min=1e-300)
    return scale * total ** (0.5 ** (SQUARINGS + 1))


def _gram(kernel: Tensor, frequencies: Tensor) -> Tensor:
    """K^(w) K^(w)^H, or K^(w)^H K^(w) where that is smaller, at all frequencies: (M, m, m), complex.

    Products of taps are formed once, T_e = sum of K_d K_d'^T over d - d' = e, and weighed with the phase of each frequency;
    T_-e is the transpose of T_e.
    """
    rank, channels = kernel.shape[:2]
    size = tuple(kernel.shape[2:])
    taps = kernel.permute(2, 3, 4, 0, 1) if rank <= channels else kernel.permute(2, 3, 4, 1, 0)
    m, rows = taps.shape[3], taps.reshape(-1, taps.shape[4])
    rows = rows if rows.device.type == "cpu" else rows.double()  # not in TF32
    merged = product(rows, rows.t().contiguous()).view(*size, m, *size, m).permute(0, 4, 1, 5, 2, 6, 3, 7)
    for count in size:  # d and d' of one axis after another become e
        merged = torch.tensordot(_differences(count).to(merged), merged, dims=([1, 2], [0, 1])).movedim(0, -1)
    products = merged.reshape(m, m, -1).permute(2, 0, 1)
    half = len(products) // 2
    centre, later = products[half], products[half + 1 :]
    mirrored = later.transpose(1, 2)
    differences = tuple(2 * count - 1 for count in size)
    angles = (frequencies @ _positions(differences).t())[:, half + 1 :].to(products)
    real = angles.cos() @ (later + mirrored).flatten(1) + centre.flatten()
    imaginary = angles.sin() @ (mirrored - later).flatten(1)
    return torch.complex(real, imaginary).view(-1, m, m)


def _samples(size: tuple[int, ...]) -> tuple[Tensor, float]:
    """Frequencies (M, 3), one of each pair w and -w, and by what factor a maximum over them may fall short of the supremum."""
    counts = [1 if taps == 1 else 2 * taps + 2 for taps in size]
    axes = [torch.arange(count, dtype=torch.float64) * (2 * math.pi / count) for count in counts]
    axes[-1] = axes[-1][: counts[-1] // 2 + 1]
    slack = math.prod(1 / math.cos(math.pi * (taps // 2) / count) for taps, count in zip(size, counts, strict=True))
    return torch.cartesian_prod(*axes), slack


def _positions(counts: tuple[int, ...]) -> Tensor:
    """Positions of ``counts`` taps along each axis around the centre: (taps, 3) float64."""
    return torch.cartesian_prod(*(torch.arange(count, dtype=torch.float64) - count // 2 for count in counts))


def _differences(count: int) -> Tensor:
    """1 where d - d' = e, else 0: (2 count - 1, count, count)."""
    d = torch.arange(count)
    e = torch.arange(1 - count, count)
    return (d[:, None] - d == e[:, None, None]).float()
