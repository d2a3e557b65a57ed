"""Muon for the kernels K, AdamW for everything else; or AdamW for all."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from revseg.training.adamw import AdamW
from revseg.training.config import OptimizerConfig
from revseg.training.muon import Muon
from revseg.training.rule import Group, Rule


class Optimizer:
    """One update of a network's parameters.

    ``Muon`` replaces a matrix's momentum by its nearest orthogonal matrix: `K <- K - rate * orthogonal(momentum)`.
    A kernel (rank, C, k, k, k) is the matrix rank x C k^3; Muon is given views of the same storage: move the
    network to its device before.
    """

    def __init__(self, net: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self._kernels, others = kernels_and_others(net)
        self._views = [kernel.detach().view(len(kernel), -1) for kernel in self._kernels]
        self._parts = [part for part in (self._for_kernels(), self._for_others(others)) if part is not None]
        self._peaks = [[group.rate for group in part.groups] for part in self._parts]

    def _for_kernels(self) -> Rule | None:
        if not self._views:
            return None
        group = Group(self._views, self.config.rates[0], self.config.weight_decay)
        return AdamW([group]) if self.config.name == "adamw" else Muon([group], self.config.momentum)

    def _for_others(self, others: list[nn.Parameter]) -> Rule:
        rate = self.config.rates[1]
        wide, narrow = ([each for each in others if (each.ndim > 1) is wide] for wide in (True, False))
        return AdamW([Group(wide, rate, self.config.weight_decay), Group(narrow, rate)])

    def step(self, factor: float) -> None:
        """Update with `factor` times the peak rates, then let the gradients go."""
        for kernel, view in zip(self._kernels, self._views, strict=True):
            view.grad = None if kernel.grad is None else kernel.grad.view_as(view)
        for part, peaks in zip(self._parts, self._peaks, strict=True):
            for group, peak in zip(part.groups, peaks, strict=True):
                group.rate = peak * factor
            part.step()
        for tensor in (*self._views, *self.parameters):
            tensor.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"name": self.config.name, "parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over momenta and step counts; rates and decay are those of this run, not the saved ones."""
        if state.get("name") != self.config.name:
            raise ValueError(
                f"training.optimizer.name is {self.config.name}, but the checkpoint was written with "
                f"{state.get('name')}; set it back, or start anew with another run_dir"
            )
        self._check(state.get("parts"))
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)

    def _check(self, parts: object) -> None:
        """Raises ValueError where the state has other tensors than this optimizer, by name and shape."""
        if not isinstance(parts, list) or len(parts) != len(self._parts):
            raise ValueError(f"the state of the optimizer has not the {len(self._parts)} parts of {self.config.name}")
        for part, saved in zip(self._parts, parts, strict=True):
            moments = {"momentum_buffer"} if isinstance(part, Muon) else {"exp_avg", "exp_avg_sq"}
            count = {} if isinstance(part, Muon) else {"step": ()}
            expected = {index: dict.fromkeys(moments, tuple(each.shape)) | count for index, each in enumerate(part.parameters)}
            if saved != {} and _shapes(saved) != expected:  # before the first step there is none
                raise ValueError("the state of the optimizer has other tensors than its network")


def _shapes(state: object) -> object:
    """Returns the same dicts, with the shapes of float32 tensors in their place."""
    if isinstance(state, dict):
        return {key: _shapes(each) for key, each in state.items()}
    return tuple(state.shape) if isinstance(state, torch.Tensor) and state.dtype == torch.float32 else None


def kernels_and_others(net: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Kernels of the symmetric layers, and all other parameters."""
    kernels: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        (kernels if name.endswith(".kernel") else others).append(parameter)
    return kernels, others
