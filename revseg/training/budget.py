"""The memory that a training may take, and the arrangement of the network that keeps to it."""

from __future__ import annotations

from dataclasses import replace

import torch

from revseg.network.config import NetworkConfig
from revseg.network.fit import fit_memory
from revseg.network.memory import Forecast, Size, forecast_training
from revseg.training.checkpoint import Checkpoint
from revseg.training.config import TrainingConfig
from revseg.training.trainer import budget_of

# What fit_memory may choose.
ARRANGEMENT = ("state_dtype", "adjoint_dtype", "grid_bits", "keep_hidden", "slab_bytes")


def arrange(
    config: NetworkConfig,
    size: Size,
    *,
    labelled_frames: int,
    training: TrainingConfig,
    device: torch.device,
    saved: Checkpoint | None,
) -> tuple[NetworkConfig, Forecast]:
    """The network as it will be trained on videos of up to ``size`` (T, H, W), and the forecast of its memory.

    A run that goes on keeps the arrangement that it began with: other slabs could round differently.
    Raises ValueError where none fits ``training.memory_budget``.
    """
    optimizer = training.optimizer.name
    if saved is not None:
        kept = replace(config, **{name: getattr(saved.network, name) for name in ARRANGEMENT})
        return kept, forecast_training(kept, size, device=device.type, labelled_frames=labelled_frames, optimizer=optimizer)
    # On a CPU the items that are made ahead lie in the same memory, one of which the forecast has as its input.
    beside = 0 if device.type == "cuda" else items_bytes(config, size, training.ahead, shown=False)
    budget = budget_of(training, device) - beside
    return fit_memory(config, size, budget, device=device.type, labelled_frames=labelled_frames, optimizer=optimizer)


def items_bytes(config: NetworkConfig, size: Size, ahead: int, *, shown: bool = True) -> int:
    """Bytes of the items in memory as a step works: those made ahead (``made_ahead``), and, if shown, the one it works on."""
    return (max(1, ahead) + shown) * config.inputs * size[0] * size[1] * size[2]
