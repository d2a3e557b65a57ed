"""Muon (Jordan et al., kellerjordan.github.io/posts/muon) for matrices of few rows.

    M <- mu M + (1 - mu) G,     K <- (1 - rate decay) K - rate orthogonal(mu M + (1 - mu) G)

orthogonal(X), nearly the nearest matrix with orthonormal rows, takes the Newton-Schulz steps X <- (a + b A + c A^2) X, A = X X^T,
from X / |X|. The factors are polynomials of the same A: multiplied up among themselves, r x r, they leave two products with the
r x n matrix, in float32. torch.optim.Muon takes ten, in bfloat16, which processors without it emulate: 4.9 s of a step of
network=base on two such cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from revseg.training.rule import Group, Rule

# Steepest at zero of those that keep singular values between 0.7 and 1.2 (the post above).
COEFFICIENTS, STEPS = (3.4445, -4.775, 2.0315), 5


class Muon(Rule):
    """Muon for matrices (r, n), float32; fast where r is small."""

    def __init__(self, groups: Iterable[Group], momentum: float) -> None:
        super().__init__(groups)
        self.momentum = momentum

    @torch.no_grad()
    def step(self) -> None:
        for group in self.groups:
            for matrices in _by_shape(group.parameters):
                means = [self._momentum(matrix) for matrix in matrices]
                grads = [matrix.grad for matrix in matrices if matrix.grad is not None]
                torch._foreach_lerp_(means, grads, 1 - self.momentum)
                updates = orthogonal(torch.stack(torch._foreach_lerp(grads, means, self.momentum)))
                rows, columns = matrices[0].shape
                torch._foreach_mul_(matrices, 1 - group.rate * group.decay)
                torch._foreach_add_(matrices, updates.unbind(), alpha=-group.rate * max(1, rows / columns) ** 0.5)

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state.setdefault(matrix, {})
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return state["momentum_buffer"]


def _by_shape(matrices: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yields the matrices with a gradient, those of one shape together: few calls, each with much to do."""
    shapes: dict[torch.Size, list[Tensor]] = {}
    for matrix in matrices:
        if matrix.grad is not None:
            shapes.setdefault(matrix.shape, []).append(matrix)
    yield from shapes.values()


def orthogonal(matrix: Tensor) -> Tensor:
    """(..., r, n) -> (..., r, n) with the same singular vectors, and singular values of about 1."""
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonal(matrix.mT).mT
    a, b, c = COEFFICIENTS
    start = matrix / torch.linalg.vector_norm(matrix, dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    gram = start @ start.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(STEPS):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ start
