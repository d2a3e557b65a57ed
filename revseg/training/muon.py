"""Muon (Jordan et al., kellerjordan.github.io/posts/muon) for matrices of few rows.

    M <- mu M + (1 - mu) G,     K <- (1 - rate decay) K - rate orthogonal(mu M + (1 - mu) G)

orthogonal(X), nearly the nearest matrix with orthonormal rows, takes the Newton-Schulz steps X <- (a + b A + c A^2) X, A = X X^T,
from X / |X|. The factors are polynomials of the same A: multiplied up among themselves, r x r, they leave two products with the
r x n matrix, in float32. torch.optim.Muon takes ten, in bfloat16, which processors without it emulate: 4.9 s of a step of
network=base on two such cores.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# Steepest at zero of those that keep singular values between 0.7 and 1.2 (the post above).
COEFFICIENTS, STEPS = (3.4445, -4.775, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """Muon for matrices (r, n), float32; fast where r is small."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix)
                mean = state["momentum_buffer"]
                mean.lerp_(matrix.grad, 1 - momentum)
                update = orthogonal(matrix.grad.lerp(mean, momentum))
                rows, columns = matrix.shape
                matrix.mul_(1 - rate * group["weight_decay"]).sub_(update, alpha=rate * max(1, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """(r, n) -> (r, n) with the same singular vectors, and singular values of about 1."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    a, b, c = COEFFICIENTS
    start = matrix / matrix.norm().clamp(min=1e-7)
    gram = start @ start.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(STEPS):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ start
