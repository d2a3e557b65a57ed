"""What an update rule keeps of its parameters.

torch.optim.Optimizer is this and much more: to make one imports PyTorch's compiler, 2 to 4 seconds and 146 MiB of each process
that trains (torch 2.14).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Group:
    """Parameters that move at one rate."""

    parameters: Sequence[Tensor]
    rate: float
    decay: float = 0.0
    """Share of a parameter that goes at each step, times the rate."""


class Rule(ABC):
    """How parameters move by their gradients."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = list(groups)
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        """What is kept of each parameter that has moved."""

    @abstractmethod
    def step(self) -> None:
        """Moves the parameters that have a gradient."""

    @property
    def parameters(self) -> list[Tensor]:
        return [each for group in self.groups for each in group.parameters]

    def state_dict(self) -> dict[int, dict[str, Tensor]]:
        """Returns what is kept, by the place of its parameter."""
        return {place: self.state[each] for place, each in enumerate(self.parameters) if each in self.state}

    def load_state_dict(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Takes over what was kept, copied to where the parameters lie; counts of steps stay on the CPU."""
        self.state = {
            each: {name: kept.clone() if name == "step" else kept.to(each, copy=True) for name, kept in state[place].items()}
            for place, each in enumerate(self.parameters)
            if place in state
        }
