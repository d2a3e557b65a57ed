"""RevSegNet: opening, reversible sequence, head; a whole volume in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg.network.config import NetworkConfig
from revseg.network.plan import blocks_of, features, multiple_of, output_stride, padded_size
from revseg.reversible.block import Block, Coarsen, Leapfrog, Refine
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence

# uint8 -> about zero mean and unit variance.
PIXEL_MEAN, PIXEL_STD = 114.75, 57.375


class RevSegNet(nn.Module):
    """Fully reversible 3D network with symmetric block-low-rank layers, arXiv:1912.12137.

        state = (y, y),  y = opening(volume);   state <- sequence(state);   logits = head(state)

    With ``evidence`` the volume has evidence after the video, and the head sees it too: logits = head(state, evidence).

    Settings: see ``NetworkConfig``, which ``config`` holds. head: any module from (..., features) to (..., classes) that treats
    each position by itself; None: a linear one.

        net = RevSegNet(channels=4, classes=2, levels=3, depth=(0, 2, 2, 2), rank=16)
        logits = net(volume)              # (N, in_channels, T, H, W) -> (N, classes, T, H, W)

    A uint8 volume is normalised by the network, a float volume is taken as normalised. T, H, W may be of any size.
    """

    def __init__(
        self,
        *,
        channels: int = 4,
        classes: int | None = None,
        evidence: bool | None = None,
        in_channels: int | None = None,
        levels: int = 3,
        output_level: int = 0,
        depth: int | Sequence[int] = (0, 2, 2, 2),
        rank: int | Sequence[int] = 16,
        step_size: float = 0.5,
        kernel_size: int = 3,
        norm: str = "operator",
        coarsen_time: bool | Sequence[bool] = True,
        arithmetic: str = "exact",
        convolution_dtype: str = "auto",
        state_dtype: str = "float32",
        adjoint_dtype: str = "float32",
        grid_bits: int | None = None,
        keep_hidden: bool = False,
        slab_bytes: int | None = None,
        head: nn.Module | None = None,
    ) -> None:
        given = locals()
        super().__init__()
        self.config = config = NetworkConfig(**{each.name: given[each.name] for each in fields(NetworkConfig)})
        self.multiple = multiple_of(config)
        self.opening = nn.Linear(config.inputs, config.channels)
        self.sequence = _sequence(config)
        self.features = features(config)
        """Number of features of a cell that the head sees."""
        self.head = _new_head(config, self.features) if head is None else head

    @property
    def device(self) -> torch.device:
        """The device that the weights lie on."""
        return self.opening.weight.device

    def convolve_in_(self, dtype: torch.dtype) -> None:
        """Takes a dtype for convolutions, where network.convolution_dtype leaves it open (auto)."""
        self.sequence.convolution_dtype = convolution_dtype_of(self.config, dtype)

    def hold_states_(self, config: NetworkConfig) -> None:
        """Changes the containers of the states to those of ``config``, which differs in nothing else (``widened``)."""
        self.config, self.sequence.grid = config, grid_of(config)

    def forward(self, volume: Tensor) -> Tensor:
        """Computes (N, inputs, T, H, W) -> logits (N, classes, T, H, W), under autograd."""
        check_volume(volume, self.config.inputs)
        size = tuple(volume.shape[2:])
        padded = padded_size(self.config, size)  # type: ignore[arg-type]
        inputs = normalise(volume.movedim(1, -1), self.opening.weight.dtype)
        inputs = F.pad(inputs, (0, 0, *(p for axis in (2, 1, 0) for p in (0, padded[axis] - size[axis]))))
        y = self.opening(inputs).movedim(-1, 1)
        state = [part.movedim(1, -1) for part in self.sequence(y, y)]
        evidence = [inputs[..., self.config.video_channels :]] if self.config.evidence else []
        cells = self.head(torch.cat([*state, *evidence], -1).to(inputs.dtype))
        for axis, repeats in enumerate(output_stride(self.config)):
            cells = cells.repeat_interleave(repeats, axis + 1) if repeats > 1 else cells
        return cells[:, : size[0], : size[1], : size[2]].movedim(-1, 1)


def normalise(volume: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Converts uint8 -> about unit variance; float is taken as normalised."""
    return volume.to(dtype).sub_(PIXEL_MEAN).div_(PIXEL_STD) if volume.dtype == torch.uint8 else volume.to(dtype)


def check_volume(volume: Tensor, channels: int = 3) -> None:
    if volume.dim() != 5 or volume.shape[1] != channels or 0 in volume.shape:
        raise ValueError(f"the volume has shape {tuple(volume.shape)}; give (N, {channels}, T, H, W) with no empty axis")
    if not (volume.is_floating_point() or volume.dtype == torch.uint8):
        raise ValueError(f"the volume has dtype {volume.dtype}; give uint8 (0 to 255) or a normalised float")


def fast_convolution_dtype() -> torch.dtype:
    """bfloat16 where convolutions in it are fast: a GPU that has it, or a CPU with AMX or AVX-512 BF16."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else torch.float32


def _new_head(config: NetworkConfig, features: int) -> nn.Linear:
    head = nn.Linear(features, config.outputs)
    # Near zero: the first loss is log(classes), and the first gradients change the state only a little.
    nn.init.normal_(head.weight, std=1e-2)
    nn.init.zeros_(head.bias)
    if config.evidence:  # the first prediction is what the evidence says
        nn.init.normal_(head.weight, std=1e-4)
        nn.init.eye_(head.weight[:, features - config.evidence_channels :])
    return head


def _sequence(config: NetworkConfig) -> ReversibleSequence:
    blocks: list[Block] = []
    for plan in blocks_of(config):
        if plan.kind == "leapfrog":
            layer = SymmetricLayer(plan.channels, plan.rank, config.kernel_size, norm=config.norm)
            blocks.append(Leapfrog(layer, config.step_size))
        else:
            blocks.append((Coarsen if plan.kind == "coarsen" else Refine)((plan.halve_time, True, True)))
    return ReversibleSequence(
        blocks,
        grid=grid_of(config),
        convolution_dtype=convolution_dtype_of(config),
        adjoint_dtype=adjoint_dtype_of(config),
        slab_bytes=config.slab_bytes,
    )


def grid_of(config: NetworkConfig) -> Grid:
    dtype = getattr(torch, config.state_dtype)
    if config.arithmetic == "float":
        return Grid(dtype, None)
    return Grid(dtype, DEFAULT_BITS[dtype] if config.grid_bits is None else config.grid_bits)


def widened(config: NetworkConfig) -> NetworkConfig | None:
    """Returns the settings with float32 states on the same grid, for int16 states out of range; None for other states."""
    grid = grid_of(config).wider
    return None if grid is None else replace(config, state_dtype="float32", grid_bits=grid.bits)


def adjoint_dtype_of(config: NetworkConfig) -> torch.dtype:
    return torch.float64 if config.state_dtype == "float64" else getattr(torch, config.adjoint_dtype)


def convolution_dtype_of(config: NetworkConfig, fast: torch.dtype | None = None) -> torch.dtype:
    """Returns the dtype of the convolutions. fast: where the settings leave it open; None: as the processor can."""
    if config.convolution_dtype != "auto":
        return getattr(torch, config.convolution_dtype)
    # The approximate inverse of arithmetic=float repeats the errors of its convolutions: they get the precision of the states.
    return getattr(torch, config.state_dtype) if config.arithmetic == "float" else fast or fast_convolution_dtype()
