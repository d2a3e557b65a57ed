"""Gradients summed over the processes of a group."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from revseg.parallel.group import Group


def sum_gradients(parameters: Iterable[nn.Parameter], group: Group) -> None:
    """Puts the sum over all processes in the place of ``.grad``: one message for each dtype."""
    if group.alone:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_dtype.values():
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        group.sum_(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(own) for part, own in zip(parts, gradients, strict=True)])
