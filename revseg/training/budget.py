"""The memory that a training may take, and the arrangement of the network that keeps to it."""

from __future__ import annotations

from dataclasses import replace

import torch

from revseg.network.config import NetworkConfig
from revseg.network.fit import fit_memory
from revseg.network.memory import Forecast, Size, forecast_training
from revseg.parallel.group import ALONE, Group
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
    group: Group = ALONE,
    shards: int = 1,
) -> tuple[NetworkConfig, Forecast]:
    """The network as it will be trained on videos of up to ``size`` (T, H, W), and the forecast of its memory.

    A run that goes on keeps the arrangement that it began with: other slabs could round differently. So do all processes of a
    group: it is that of the one with the least memory. shards: processes that hold a volume together.
    Raises ValueError where none fits ``training.memory_budget``.
    """
    optimizer = training.optimizer.name
    if saved is not None:
        kept = replace(config, **{name: getattr(saved.network, name) for name in ARRANGEMENT})
        forecast = forecast_training(
            kept, size, device=device.type, labelled_frames=labelled_frames, optimizer=optimizer, shards=shards
        )
        return kept, forecast
    budget = budget_of(training, device, network=config, size=size, group=group, shards=shards)
    return fit_memory(
        config,
        size,
        budget,
        device=device.type,
        labelled_frames=labelled_frames,
        optimizer=optimizer,
        shards=shards,
    )
