"""Activations s of a symmetric layer with their derivatives, each a function of the value s(x).

The adjoint needs s'(K y + b) where a = s(K y + b) is at hand. For an invertible s the value tells the derivative, so that
K y + b itself is never stored:

    relu  a > 0        leaky_relu  1 or 0.1        tanh  1 - a^2        softplus  1 - exp(-a)        identity  1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """An activation of one's own: a monotone function s, and its derivative as a function of the value s(x).

        SymmetricLayer(8, 16, activation=Activation("sigmoid", torch.sigmoid, lambda a: a * (1 - a)))

    Both map tensors of any shape and floating dtype to the same shape and dtype, elementwise. ``function`` may overwrite its
    argument. The slope should lie in [0, 1]: a larger one lowers the step size at which the leapfrog is stable.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    """x -> s(x)."""
    slope: Callable[[Tensor], Tensor]
    """s(x) -> s'(x)."""

    def gate(self, adjoint: Tensor, value: Tensor) -> Tensor:
        """Returns s'(x) adjoint, where ``value`` is s(x)."""
        if self is RELU:
            return torch.ops.aten.threshold_backward(adjoint, value, 0)
        return adjoint * self.slope(value)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Is pickled by its name where it is one of ``ACTIVATIONS``: a copy is the same object."""
        known = ACTIVATIONS.get(self.name) is self
        return (activation_of, (self.name,)) if known else (Activation, (self.name, self.function, self.slope))


RELU = Activation("relu", torch.relu_, lambda a: (a > 0).to(a.dtype))
LEAKY_RELU = Activation("leaky_relu", lambda x: F.leaky_relu(x, 0.1), lambda a: torch.where(a > 0, 1.0, a.new_full((), 0.1)))
TANH = Activation("tanh", torch.tanh, lambda a: 1 - a * a)
SOFTPLUS = Activation("softplus", F.softplus, lambda a: -torch.expm1(-a))
IDENTITY = Activation("identity", lambda x: x, torch.ones_like)
ACTIVATIONS = {activation.name: activation for activation in (RELU, LEAKY_RELU, TANH, SOFTPLUS, IDENTITY)}


def activation_of(which: str | Activation) -> Activation:
    """Returns an activation by its name. Raises ValueError for a name that is none."""
    if isinstance(which, Activation):
        return which
    if which not in ACTIVATIONS:
        raise ValueError(f"activation is {which}; choose one of {', '.join(ACTIVATIONS)}, or give an Activation")
    return ACTIVATIONS[which]
