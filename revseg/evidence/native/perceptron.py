"""What a perceptron of two hidden layers says on the CPU, and how it learns (``perceptron.c``)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from revseg.evidence.native.library import called
from revseg.reversible.kernels.native.compiled import address

PIXELS, LANES = 48, 16
"""Pixels that are worked on at a time, and numbers of a vector, of the processors that have the longest."""


class Perceptron(NamedTuple):
    """Its numbers, and where they are."""

    parameters: Tensor
    """Weights and biases, layer by layer, rows of an output each, one after the other, float32."""
    inputs: int
    hidden: int
    classes: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers that are seen, of each hidden layer, and that are said."""
        return self.inputs, self.hidden, self.classes


def add_odds(network: Perceptron, values: Tensor, odds: Tensor, *, clip: float, share: float = 1.0, add: bool = False) -> None:
    """Adds to odds (classes, n), or puts there, a share of the logarithms that ``Looks.odds`` tells of.

    values: (n, inputs) float32, perhaps of rows that are longer.
    """
    count, inputs = values.shape
    assert values.stride(1) == 1
    assert values.dtype == odds.dtype == torch.float32
    assert inputs == network.inputs
    assert odds.shape == (network.classes, count)
    rows = address(values), values.stride(0), count
    scratch = torch.empty((inputs + 2 * network.hidden + network.classes) * PIXELS + LANES)
    called("perceptron_odds", *rows, network.parameters, *network.sizes, odds, float(clip), share, int(add), scratch)


def gradients(network: Perceptron, values: Tensor, classes: Tensor, *, rows: Tensor) -> Tensor:
    """Returns the gradients of the mean cross-entropy over some rows of values (n, inputs), as parameters lie.

    classes: (n,) int64; rows: int64.
    """
    inputs, hidden, count = network.sizes
    wide, deep = (-(-numbers // LANES) * LANES for numbers in (inputs, hidden))
    tiles = inputs + 4 * hidden + count + wide + 2 * deep
    sums = hidden * (wide + 1) + (hidden + count) * (deep + 1) + hidden
    found, scratch = torch.empty_like(network.parameters), torch.empty(tiles * PIXELS + sums + 2 * LANES)
    called("perceptron_gradients", values, classes, rows, len(rows), network.parameters, *network.sizes, found, scratch)
    return found
