"""Exponential moving average of the weights: evaluated and predicted with, where it is on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """average <- d average + (1 - d) weights after every step, d = min(decay, (1 + step) / (10 + step)).

    The smaller d of the first steps forgets the initial weights sooner than `decay` would.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"training.ema is {decay}; give a decay between 0 and 1, such as 0.99, or null for none")
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on from a saved average, wherever the network is now."""
        for name, value in weights.items():
            self.weights[name].copy_(value)

    @contextmanager
    def applied(self, net: nn.Module) -> Iterator[None]:
        """The average in place of the weights, until the end of the block."""
        current = {name: value.detach().clone() for name, value in net.state_dict().items()}
        net.load_state_dict(self.weights)
        try:
            yield
        finally:
            net.load_state_dict(current)
