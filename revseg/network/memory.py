"""Forecasts memory and work of a run from the settings and the size of the video alone.

    training     2 states + 2 adjoints + the temporaries of one slab + weights and optimizer + input
    prediction   2 states             + the temporaries of one slab + weights             + input

The states and adjoints of training are the floor; everything else is small beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from revseg.network.config import NetworkConfig
from revseg.network.network import adjoint_dtype_of, convolution_dtype_of, grid_of
from revseg.network.plan import BlockPlan, blocks_of, multiple_of, padded_size
from revseg.reversible.haar import STRIP_BYTES
from revseg.reversible.kernels.dispatch import ADJOINTS, CONTAINERS, HAAR_GROUP_BYTES, Layout
from revseg.reversible.kernels.tile import padded_rank
from revseg.reversible.layer import keeps_hidden, position_bytes
from revseg.reversible.sequence import default_slab_bytes
from revseg.reversible.slab import slab_size
from revseg.reversible.wide import is_wide

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
) -> Forecast:
    """Forecasts one training step on a video of ``size`` (T, H, W).

    any_offset: the video may lie anywhere on the grid, as in training with augmentation: the largest padding counts.
    """
    config = _resolved(config, device)
    offset = tuple(m - 1 for m in multiple_of(config)) if any_offset else (0, 0, 0)
    padded = padded_size(config, size, offset)  # type: ignore[arg-type]
    elements = config.channels * padded[0] * padded[1] * padded[2]
    labels = size[0] if labelled_frames is None else labelled_frames
    return Forecast(
        states=2 * elements * grid_of(config).dtype.itemsize,
        adjoints=2 * elements * adjoint_dtype_of(config).itemsize,
        hidden=_kept_bytes(config, padded, device) if config.keep_hidden else 0,
        slab=_temporaries(config, padded, budget=slab_budget(config, padded, device), device=device, training=True),
        weights=PARAMETER_COPIES[optimizer] * 4 * parameters(config),
        input=(config.inputs * size[0] + labels) * size[1] * size[2],
        operations=8 * convolution_operations(config, padded),
    )


def forecast_prediction(config: NetworkConfig, size: Size, *, device: str = "cuda") -> Forecast:
    """Forecasts one pass over a video of ``size`` (T, H, W), at one placement."""
    config = _resolved(config, device)
    padded = padded_size(config, size)
    elements = config.channels * padded[0] * padded[1] * padded[2]
    return Forecast(
        states=2 * elements * grid_of(config).dtype.itemsize,
        adjoints=0,
        hidden=0,
        slab=_temporaries(config, padded, budget=slab_budget(config, padded, device), device=device, training=False),
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
    blocks = sum(b.rank * (b.channels * config.kernel_size**3 + 1) for b in blocks_of(config) if b.kind == "leapfrog")
    opening, evidence = config.channels * (config.inputs + 1), config.evidence_channels
    return blocks + opening + config.outputs * (2 * config.channels + evidence + 1)


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


def _temporaries(config: NetworkConfig, padded: Size, budget: int, device: str, training: bool) -> int:
    """Bytes of the largest temporaries: a leapfrog's slab, a change of level, or a few frames of opening, head and loss."""
    whole_frame = padded[1] * padded[2]
    head = 16 * (2 * config.channels + config.evidence_channels + config.outputs) * whole_frame
    needs = [max(head, min(budget, head * padded[0]))]
    needs += [
        _slab_bytes(config, block, shape, budget=budget, device=device, training=training)
        for block, shape in _leapfrogs(config, padded)
    ]
    if config.levels:
        needs.append(_level_change_bytes(config, frame=whole_frame * 2 ** sum(config.halves_time), budget=budget, device=device))
    return max(needs)


def _level_change_bytes(config: NetworkConfig, frame: int, budget: int, device: str) -> int:
    """Bytes of the temporaries of a change of level; frame: pixels of the fine frames that make one of the coarsest level."""
    whole = config.channels * grid_of(config).dtype.itemsize * frame
    if device == "cuda" and {grid_of(config).dtype, adjoint_dtype_of(config)} <= CONTAINERS | ADJOINTS:
        return max(whole, min(budget, HAAR_GROUP_BYTES))  # the copy of a group of frames
    return whole + 4 * STRIP_BYTES[device]


def _slab_bytes(config: NetworkConfig, block: BlockPlan, shape: tuple[int, ...], budget: int, device: str, training: bool) -> int:
    dtype, grid = convolution_dtype_of(config), grid_of(config)
    radius = config.kernel_size // 2
    frames, height, width, channels = shape
    if _is_fused(config, channels=channels, rank=block.rank, device=device):
        # The workspaces of a and d: no low-precision copy, and a halo of one convolution only.
        per_position = 2 * padded_rank(block.rank) * dtype.itemsize
        length, rows = slab_size(shape, radius=1, position_bytes=per_position, budget=budget)
        return (length + 2) * (rows + 2) * width * per_position
    if is_wide(channels, block.rank):
        whole = frames * height * width * block.rank
        kept = whole * (4 + dtype.itemsize * (2 if training else 1))
        return kept + min(budget, frames * height * width * channels * 3 * dtype.itemsize)
    per_position = position_bytes(channels, block.rank, convolution_dtype=dtype, state_dtype=grid.dtype)
    length, rows = slab_size(shape, radius=radius, position_bytes=per_position, budget=budget)
    reach = (length + (4 * radius if length < frames else 0)) * (rows + (4 * radius if rows < height else 0))
    return reach * width * per_position


def _is_fused(config: NetworkConfig, channels: int, rank: int, device: str) -> bool:
    """Whether a block runs through the fused kernels. An older GPU than compute capability 8.0 takes PyTorch and more memory."""
    layout = Layout(
        channels=channels,
        rank=rank,
        size=config.kernel_size,
        convolution_dtype=convolution_dtype_of(config),
        grid=grid_of(config),
        adjoint_dtype=adjoint_dtype_of(config),
    )
    return device == "cuda" and layout.supported


def _kept_bytes(config: NetworkConfig, padded: Size, device: str) -> int:
    fields = [
        (block, shape)
        for block, shape in _leapfrogs(config, padded)
        if keeps_hidden(block.channels, block.rank)
        and not _is_fused(config, channels=block.channels, rank=block.rank, device=device)
    ]
    return sum(block.rank * shape[0] * shape[1] * shape[2] for block, shape in fields) * convolution_dtype_of(config).itemsize


def _leapfrogs(config: NetworkConfig, padded: Size) -> list[tuple[BlockPlan, tuple[int, int, int, int]]]:
    """Returns every leapfrog block with the shape (T, H, W, C) of its field."""
    found = []
    for block in blocks_of(config):
        if block.kind == "leapfrog":
            halvings = sum(config.halves_time[: block.level])
            scale = 2**block.level
            found.append((block, (padded[0] >> halvings, padded[1] // scale, padded[2] // scale, block.channels)))
    return found
