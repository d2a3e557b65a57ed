"""Forecasts the memory and work of the network in a run from the settings and the size of the video alone; the run's own, with
all that is around the network, is told by ``revseg.forecast``.

    training     2 states + 2 adjoints + the temporaries of one slab + weights and optimizer + input
    prediction   2 states             + the temporaries of one slab + weights             + input

The states and adjoints of training are the floor; everything else is small beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from revseg.network.config import NetworkConfig
from revseg.network.network import adjoint_dtype_of, convolution_dtype_of, grid_of
from revseg.network.plan import (
    BlockPlan,
    blocks_of,
    features,
    multiple_of,
    padded_size,
    seen_frames,
    shard_frames,
    weight_shapes,
)
from revseg.reversible.activation import RELU
from revseg.reversible.force.choice import hidden_bytes, temporary_bytes
from revseg.reversible.force.force import Layout
from revseg.reversible.haar import STRIP_BYTES
from revseg.reversible.kernels import dispatch
from revseg.reversible.kernels.dispatch import ADJOINTS, CONTAINERS, HAAR_GROUP_BYTES
from revseg.reversible.run import default_slab_bytes

Size = tuple[int, int, int]

# Float32 copies of the parameters that exist in a training step: themselves, the normalised kernels, both gradients,
# momentum (Muon) or two moments (AdamW), and the prepared kernels of one layer.
PARAMETER_COPIES = {"muon": 5, "adamw": 6}


@dataclass(frozen=True)
class Forecast:
    """Bytes by purpose, and operations."""

    states: int
    adjoints: int
    hidden: int
    """Hidden activations that are kept for the backward pass (network.keep_hidden)."""
    slab: int
    """Temporaries of one slab, at the step that needs most."""
    weights: int
    """Parameters with gradients and the optimizer's state."""
    input: int
    """The uint8 video and its labels."""
    operations: float
    """Operations of the convolutions (a multiplication and an addition count 2)."""

    @property
    def total(self) -> int:
        return self.states + self.adjoints + self.hidden + self.slab + self.weights + self.input

    @property
    def floor(self) -> int:
        return self.states + self.adjoints


def forecast_training(
    config: NetworkConfig,
    size: Size,
    *,
    device: str = "cuda",
    labelled_frames: int | None = None,
    optimizer: str = "muon",
    any_offset: bool = True,
    shards: int = 1,
) -> Forecast:
    """Forecasts one training step on a video of ``size`` (T, H, W).

    shards: processes that hold the volume together; the forecast is of the one with the most frames.
    any_offset: the video may lie anywhere on the grid, as in training with augmentation: the largest padding counts.
    """
    config = _resolved(config, device)
    offset = tuple(m - 1 for m in multiple_of(config)) if any_offset else (0, 0, 0)
    whole = padded_size(config, size, offset)  # type: ignore[arg-type]
    padded = (shard_frames(config, whole[0], shards), *whole[1:])
    elements = config.channels * padded[0] * padded[1] * padded[2]
    labels = size[0] if labelled_frames is None else labelled_frames
    budget = slab_budget(config, padded, device)
    return Forecast(
        states=2 * elements * grid_of(config).dtype.itemsize,
        adjoints=2 * elements * adjoint_dtype_of(config).itemsize,
        hidden=_kept_bytes(config, padded) if config.keep_hidden else 0,
        slab=_temporaries(config, padded, budget=budget, device=device, training=True, sharded=shards > 1),
        weights=PARAMETER_COPIES[optimizer] * 4 * parameters(config),
        input=(config.inputs * seen_frames(config, size[0], shards) + labels) * size[1] * size[2],
        operations=8 * convolution_operations(config, padded),
    )


def forecast_prediction(config: NetworkConfig, size: Size, *, device: str = "cuda", shards: int = 1) -> Forecast:
    """Forecasts one pass over a video of ``size`` (T, H, W), at one placement.

    shards: processes that hold the volume together; the forecast is of the one with the most frames, and of the whole input.
    """
    config = _resolved(config, device)
    whole = padded_size(config, size)
    padded = (shard_frames(config, whole[0], shards), *whole[1:])
    elements = config.channels * padded[0] * padded[1] * padded[2]
    return Forecast(
        states=2 * elements * grid_of(config).dtype.itemsize,
        adjoints=0,
        hidden=0,
        slab=_temporaries(
            config, padded, budget=slab_budget(config, padded, device), device=device, training=False, sharded=shards > 1
        ),
        weights=2 * 4 * parameters(config),
        input=0 if device == "cuda" else config.inputs * size[0] * size[1] * size[2],  # stays on the host
        operations=2 * convolution_operations(config, padded),
    )


def slab_budget(config: NetworkConfig, size: Size, device: str) -> int:
    """Bytes that the temporaries of a slab may take."""
    field = config.channels * size[0] * size[1] * size[2] * grid_of(config).dtype.itemsize
    return config.slab_bytes or default_slab_bytes(device, field)


def largest(config: NetworkConfig, size: Size, memory: int, axis: int, **settings: object) -> int:
    """Largest extent of ``axis`` (0 T, 1 H with W in proportion) that trains in ``memory`` bytes; 0 if none does."""

    def fits(extent: int) -> bool:
        scaled = (extent, size[1], size[2]) if axis == 0 else (size[0], extent, max(1, round(extent * size[2] / size[1])))
        return forecast_training(config, scaled, **settings).total <= memory  # type: ignore[arg-type]

    low, high = 0, 1
    while fits(high) and high < 1 << 24:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def parameters(config: NetworkConfig) -> int:
    """Number of weights of the network."""
    return sum(math.prod(shape) for shape in weight_shapes(config).values())


def convolution_operations(config: NetworkConfig, padded: Size) -> float:
    """Operations of one unit (a convolution C <-> rank) summed over the blocks; halos not counted."""
    total = 0.0
    for block, shape in _leapfrogs(config, padded):
        total += 2.0 * config.kernel_size**3 * block.rank * shape[0] * shape[1] * shape[2] * shape[3]
    return total


def _resolved(config: NetworkConfig, device: str) -> NetworkConfig:
    """Replaces convolution_dtype=auto by the dtype of a GPU, which this machine may not have."""
    if device == "cuda" and config.arithmetic == "exact" and config.convolution_dtype == "auto":
        return replace(config, convolution_dtype="bfloat16")
    return config


def _temporaries(config: NetworkConfig, padded: Size, *, budget: int, device: str, training: bool, sharded: bool = False) -> int:
    """Bytes of the largest temporaries: a leapfrog's slab, a change of level, or a few frames of opening, head and loss."""
    whole_frame = padded[1] * padded[2]
    head = 16 * (features(config) + config.outputs) * whole_frame // (2**config.output_level) ** 2
    needs = [max(head, min(budget, head * padded[0]))]
    needs += [
        temporary_bytes(layout, shape, budget=budget, device_type=device, training=training, sharded=sharded)
        for layout, shape in {(layout_of(config, block), shape) for block, shape in _leapfrogs(config, padded)}
    ]
    if config.levels:
        needs.append(_level_change_bytes(config, frame=whole_frame * 2 ** sum(config.halves_time), budget=budget, device=device))
    return max(needs)


def _level_change_bytes(config: NetworkConfig, frame: int, budget: int, device: str) -> int:
    """Bytes of the temporaries of a change of level; frame: pixels of the fine frames that make one of the coarsest level."""
    whole = config.channels * grid_of(config).dtype.itemsize * frame
    supported = {grid_of(config).dtype, adjoint_dtype_of(config)} <= CONTAINERS | ADJOINTS
    if device == "cuda" and supported and dispatch.expected():
        return max(whole, min(budget, HAAR_GROUP_BYTES))  # the copy of a group of frames
    return whole + 4 * STRIP_BYTES[device]


def layout_of(config: NetworkConfig, block: BlockPlan) -> Layout:
    """Returns what the implementation of a leapfrog block is chosen by."""
    return Layout(
        channels=block.channels,
        rank=block.rank,
        kernel_size=(config.kernel_size,) * 3,
        activation=RELU,
        convolution_dtype=convolution_dtype_of(config),
        grid=grid_of(config),
        adjoint_dtype=adjoint_dtype_of(config),
    )


def _kept_bytes(config: NetworkConfig, padded: Size) -> int:
    return sum(hidden_bytes(layout_of(config, block), shape) for block, shape in _leapfrogs(config, padded))


def _leapfrogs(config: NetworkConfig, padded: Size) -> list[tuple[BlockPlan, tuple[int, int, int, int]]]:
    """Returns every leapfrog block with the shape (T, H, W, C) of its field."""
    found = []
    for block in blocks_of(config):
        if block.kind == "leapfrog":
            halvings = sum(config.halves_time[: block.level])
            scale = 2**block.level
            found.append((block, (padded[0] >> halvings, padded[1] // scale, padded[2] // scale, block.channels)))
    return found
