"""The network written a second time in plain PyTorch, under ordinary autograd, to compare gradients with.

It shares no code with the package. Tensors are (N, C, T, H, W) and nothing is in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT_HALF = 0.5**0.5


def haar(x: Tensor, halve_time: bool) -> Tensor:
    """Channel ((dt 2 + dh) 2 + dw) C + c, where 0 is low = (a + b)/sqrt 2 and 1 is high = (b - a)/sqrt 2."""
    for axis in (4, 3, 2) if halve_time else (4, 3):
        a, b = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
        x = torch.stack([(a + b) * ROOT_HALF, (b - a) * ROOT_HALF], 1).flatten(1, 2)
    return x


def haar_inverse(x: Tensor, halve_time: bool) -> Tensor:
    for axis in (2, 3, 4) if halve_time else (3, 4):
        low, high = x.unflatten(1, (2, -1)).unbind(1)
        x = torch.stack([(low - high) * ROOT_HALF, (low + high) * ROOT_HALF], axis + 1).flatten(axis, axis + 1)
    return x


def force(y: Tensor, kernel: Tensor, bias: Tensor, step_size: float) -> Tensor:
    """h^2 K^T relu(K y + b) with K / max(1, spectral norm)."""
    sigma = torch.linalg.svdvals(kernel.flatten(1))[0]
    kernel, radius = kernel / sigma.clamp(min=1), kernel.shape[-1] // 2
    hidden = F.conv3d(y, kernel, bias, padding=radius).relu()
    return step_size**2 * F.conv_transpose3d(hidden, kernel, padding=radius)


def sequence(
    prev: Tensor,
    curr: Tensor,
    layers: Sequence[tuple[Tensor, Tensor]],
    depths: Sequence[int],
    halves_time: Sequence[bool],
    step_size: float,
) -> tuple[Tensor, Tensor]:
    """Down the levels and up again; ``layers`` = (kernel, bias) in the order in which they are applied."""
    remaining = iter(layers)

    def blocks(state: tuple[Tensor, Tensor], count: int) -> tuple[Tensor, Tensor]:
        for _ in range(count):
            prev, curr = state
            state = (curr, 2 * curr - prev - force(curr, *next(remaining), step_size))
        return state

    state = (prev, curr)
    for level, halve_time in enumerate(halves_time):
        prev, curr = blocks(state, depths[level])
        state = (haar(prev, halve_time), haar(curr, halve_time))
    state = blocks(state, depths[-1])
    for level in reversed(range(len(halves_time))):
        prev, curr = state
        state = blocks((haar_inverse(prev, halves_time[level]), haar_inverse(curr, halves_time[level])), depths[level])
    assert next(remaining, None) is None
    return state


def network(
    volume: Tensor,
    opening: tuple[Tensor, Tensor],
    head: tuple[Tensor, Tensor],
    layers: Sequence[tuple[Tensor, Tensor]],
    depths: Sequence[int],
    halves_time: Sequence[bool],
    step_size: float,
) -> Tensor:
    """(N, 3, T, H, W) of divisible size -> logits."""
    y = _pointwise(volume, *opening)
    return _pointwise(torch.cat(sequence(y, y, layers, depths, halves_time, step_size), 1), *head)


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv3d(x, weight[:, :, None, None, None], bias)
