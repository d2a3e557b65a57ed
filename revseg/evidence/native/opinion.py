"""What is made of an opinion of a frame on the CPU (``opinion.c``). said: logarithms (classes, h, w) float32 (``Looks.odds``)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.native.library import called
from revseg.reversible.kernels.native.compiled import address

Pixels = NDArray[np.bool_]


def weigh(planes: Tensor, said: Tensor, weights: Tensor, *, least: float) -> Tensor:
    """Returns the probabilities (classes, H, W) uint8 of a frame's evidence, (classes + 1, H, W) uint8, weighed with an opinion.

    weights: of each confidence, (256,) float32; least: what no probability counts as less than.
    """
    height, width = planes.shape[1:]
    if planes.stride()[1:] != (width, 1):
        planes = planes.contiguous()
    found = torch.empty(len(said), height, width, dtype=torch.uint8)
    given = said.contiguous(), *said.shape, height, width, address(planes), planes.stride(0)
    called("weigh", *given, weights, float(least), found, _scratch(said, width))
    return found


def likeliest(said: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns the likeliest class of each pixel at another size (H, W)."""
    found = np.empty(size, np.uint8)
    called("likeliest", said.contiguous(), *said.shape, *size, found, _scratch(said, size[1]))
    return found


def sharpen(said: Tensor, some: Pixels, finely: Tensor) -> Tensor:
    """Returns an opinion at the size of some pixels (H, W), with a finer one of these, (classes, n), in its place."""
    found = torch.empty(len(said), *some.shape)
    given = said.contiguous(), *said.shape, *some.shape
    called("sharpen", *given, some, finely.contiguous(), finely.shape[1], found, _scratch(said, some.shape[1]))
    return found


def enlarge(numbers: Tensor, some: Pixels, *, into: Tensor) -> None:
    """Puts numbers of pixels (h, w, n), as they are at the size of some pixels (H, W), into rows (m, n) of these, perhaps parts
    of longer ones."""
    height, width, count = numbers.shape
    assert numbers.stride(2) == into.stride(1) == 1
    assert numbers.stride(0) == width * numbers.stride(1)
    given = address(numbers), numbers.stride(1), count, height, width
    called("enlarge", *given, some, *some.shape, address(into), into.stride(0))


def _scratch(said: Tensor, width: int) -> Tensor:
    return torch.empty(said.shape[2] + (len(said) + 5) * width)
