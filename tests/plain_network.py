"""The network written a second time in plain PyTorch, under ordinary autograd, to compare gradients with.

It shares no code with the package. Tensors are (N, C, T, H, W) and nothing is in place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT_HALF = 0.5**0.5


def haar(x: Tensor, axes: tuple[bool, bool, bool]) -> Tensor:
    """Channel ((dt 2 + dh) 2 + dw) C + c, where 0 is low = (a + b)/sqrt 2 and 1 is high = (b - a)/sqrt 2.

    axes: which of T, H and W are halved; the others have no digit.
    """
    for axis in [axis for axis in (4, 3, 2) if axes[axis - 2]]:
        a, b = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
        x = torch.stack([(a + b) * ROOT_HALF, (b - a) * ROOT_HALF], 1).flatten(1, 2)
    return x


def haar_inverse(x: Tensor, axes: tuple[bool, bool, bool]) -> Tensor:
    for axis in [axis for axis in (2, 3, 4) if axes[axis - 2]]:
        low, high = x.unflatten(1, (2, -1)).unbind(1)
        x = torch.stack([(low - high) * ROOT_HALF, (low + high) * ROOT_HALF], axis + 1).flatten(axis, axis + 1)
    return x


def norm_bound(kernel: Tensor) -> Tensor:
    """A number of at least the norm of K as an operator on fields, from the singular values of its Fourier transform.

    At 4 k + 4 frequencies along an axis of 2 k + 1 taps (1 where there is one tap), the Schatten norm of order 32; between these
    samples a trigonometric polynomial of degree k is larger by 1 / cos(pi k / n) at most, for each axis.
    """
    taps = kernel.shape[2:]
    counts = [1 if count == 1 else 2 * count + 2 for count in taps]
    transform = torch.fft.fftn(kernel, s=counts, dim=(2, 3, 4)).permute(2, 3, 4, 0, 1)
    schatten = torch.linalg.svdvals(transform).pow(32).sum(-1).pow(1 / 32)
    slack = math.prod(1 / math.cos(math.pi * (tap // 2) / count) for tap, count in zip(taps, counts, strict=True))
    return schatten.amax() * slack


def force(y: Tensor, kernel: Tensor, bias: Tensor, step_size: float) -> Tensor:
    """h^2 K^T relu(K y + b) with K / max(1, bound of its norm)."""
    kernel = kernel / norm_bound(kernel).clamp(min=1)
    padding = [size // 2 for size in kernel.shape[2:]]
    hidden = F.conv3d(y, kernel, bias, padding=padding).relu()
    return step_size**2 * F.conv_transpose3d(hidden, kernel, padding=padding)


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
        axes = (halve_time, True, True)
        state = (haar(prev, axes), haar(curr, axes))
    state = blocks(state, depths[-1])
    for level in reversed(range(len(halves_time))):
        prev, curr = state
        axes = (halves_time[level], True, True)
        state = blocks((haar_inverse(prev, axes), haar_inverse(curr, axes)), depths[level])
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
