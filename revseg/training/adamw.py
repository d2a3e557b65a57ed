"""AdamW (Loshchilov, Hutter, arXiv:1711.05101), by the function that torch.optim.AdamW calls."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from revseg.training.rule import Rule

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Those of torch.optim.AdamW."""


class AdamW(Rule):
    """The steps of torch.optim.AdamW, bit for bit."""

    @torch.no_grad()
    def step(self) -> None:
        for group in self.groups:
            moved = [each for each in group.parameters if each.grad is not None]
            state = [self._moments(each) for each in moved]
            adamw(
                moved,
                [each.grad for each in moved if each.grad is not None],
                [each["exp_avg"] for each in state],
                [each["exp_avg_sq"] for each in state],
                max_exp_avg_sqs=[],
                state_steps=[each["step"] for each in state],
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group.rate,
                weight_decay=group.decay,
                eps=EPSILON,
                maximize=False,
            )

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state.setdefault(parameter, {})
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)  # on the CPU, where its value is read without a wait
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state
