"""Everything that is measured, by name, behind one interface.

A model trains on a uint8 volume (1, 3, T, H, W) with labels (1, L, H, W) of a few frames, and segments a
volume into a uint8 mask (T, H, W). Opening, head and loss are the same for all: 1x1x1 convolutions, cross-
entropy and Dice on the labelled frames.

- iunets: float32 as it comes (under bfloat16 autocast memcnn's inverse fails). An iUNet on 2C channels has a
  state of revseg's size, prev and curr of C channels each; `iunets-half` has C channels. As many layers per
  level as revseg has blocks, level by level; a layer is one convolution from half of the channels to the
  other half.
- MONAI: UNet (channels 16, 32, 64, 128, 256, two residual units) and SegResNet (16 filters, blocks 1, 2, 2, 4
  down), as in its tutorials, under bfloat16 autocast where the processor is fast at it. Their depth is their
  own.

No peer needed a change to run with the present PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.case import Case, Size
from benchmark.same_network import FastFields, MemcnnBlocks, NaiveFields, SameNetwork, StoredBlocks
from revseg.network.inference import predict_probabilities
from revseg.network.network import RevSegNet, fast_convolution_dtype, normalise
from revseg.network.plan import blocks_of, level_channels, padded_size
from revseg.network.step import training_step
from revseg.training.loss import SegmentationLoss

WARM_SIZE: Size = (16, 32, 32)  # divisible by everything here; also the volume on which FLOPs are counted
CLASSES = 2


class Model(Protocol):
    """One peer, built for one case."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def step(self, volume: Tensor, labels: Tensor, frames: list[int]) -> Tensor:
        """Gradients are added to ``.grad``; returns the loss."""

    def infer(self, volume: Tensor) -> Tensor:
        """Mask (T, H, W) uint8."""

    def forward_flops(self, size: Size) -> float:
        """Floating-point operations of the convolutions of one forward pass."""


@dataclass(frozen=True)
class Peer:
    title: str
    build: Callable[[Case, torch.device], Model]


class Revseg:
    """revseg itself: its training step and its inference."""

    def __init__(self, case: Case, device: torch.device, fused: bool = True, **settings: Any) -> None:
        self.net = network(case, device, **settings)
        if not fused:
            from revseg.reversible.kernels import dispatch

            dispatch.enable(False)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.net.parameters()

    def step(self, volume: Tensor, labels: Tensor, frames: list[int]) -> Tensor:
        return training_step(self.net, volume, labels, frames, SegmentationLoss()).loss

    def infer(self, volume: Tensor) -> Tensor:
        mask = torch.empty(volume.shape[2:], dtype=torch.uint8, device=volume.device)
        for start, probabilities in predict_probabilities(self.net, volume[0]):
            mask[start : start + probabilities.shape[1]] = probabilities.argmax(0)
        return mask

    def forward_flops(self, size: Size) -> float:
        return network_flops(self.net, size)


class Otherwise:
    """The same network, run some other way."""

    def __init__(self, case: Case, device: torch.device, way: str) -> None:
        net = network(case, device)
        h = net.config.step_size
        fast = FastFields(h, net.sequence.convolution_dtype)
        fields = NaiveFields(h) if way == "naive" else fast
        blocks = MemcnnBlocks(fast) if way == "memcnn" else StoredBlocks(fields, each_checkpointed=way == "checkpoint")
        self.network = SameNetwork(net, fields, blocks)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.network.net.parameters()

    def step(self, volume: Tensor, labels: Tensor, frames: list[int]) -> Tensor:
        loss = loss_of(self.network.logits(volume, frames), labels)
        loss.backward()
        self.network.blocks.finish()
        return loss.detach()

    @torch.no_grad()
    def infer(self, volume: Tensor) -> Tensor:
        return self.network.logits(volume, list(range(volume.shape[2]))).argmax(-1).to(torch.uint8)

    def forward_flops(self, size: Size) -> float:
        return network_flops(self.network.net, size)


class OtherNetwork:
    """A network of another library, with opening and head where it needs them; fields (1, C, T, H, W)."""

    def __init__(self, body: nn.Module, channels: int | None, multiple: int, device: torch.device, autocast: bool) -> None:
        opening = nn.Identity() if channels is None else nn.Conv3d(3, channels, 1)
        head = nn.Identity() if channels is None else nn.Linear(channels, CLASSES)
        self.parts = nn.ModuleList([opening, body, head]).to(device)
        self.multiple, self.autocast = multiple, autocast

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.parts.parameters()

    def logits(self, volume: Tensor, frames: list[int] | slice) -> Tensor:
        """(L, H, W, O), float32."""
        height, width = volume.shape[3:]
        opening, body, head = self.parts
        inputs = normalise(volume)
        missing = [-n % self.multiple for n in volume.shape[2:]]
        if any(missing):
            inputs = F.pad(inputs, (0, missing[2], 0, missing[1], 0, missing[0]))
        with torch.autocast(volume.device.type, torch.bfloat16, enabled=self.autocast):
            return head(body(opening(inputs))[0, :, frames, :height, :width].movedim(0, -1)).float()

    def step(self, volume: Tensor, labels: Tensor, frames: list[int]) -> Tensor:
        loss = loss_of(self.logits(volume, frames), labels)
        loss.backward()
        return loss.detach()

    @torch.no_grad()
    def infer(self, volume: Tensor) -> Tensor:
        return self.logits(volume, slice(volume.shape[2])).argmax(-1).to(torch.uint8)

    def forward_flops(self, size: Size) -> float:
        """Counted on a small volume; convolutions cost the same for every voxel."""
        device = next(self.parameters()).device
        with FlopCounterMode(display=False) as counter:
            self.infer(torch.zeros(1, 3, *WARM_SIZE, dtype=torch.uint8, device=device))
        ratio = 1.0
        for n, small in zip(size, WARM_SIZE, strict=True):
            ratio *= (n + -n % self.multiple) / small
        return counter.get_total_flops() * ratio


def network(case: Case, device: torch.device, **settings: Any) -> RevSegNet:
    """The RevSegNet of a case, the same weights for every peer."""
    torch.manual_seed(0)
    return RevSegNet(
        step_size=case.step_size,
        channels=case.channels,
        classes=CLASSES,
        levels=case.levels,
        depth=case.depth,
        rank=case.rank,
        **settings,
    ).to(device)


def network_flops(net: RevSegNet, size: Size) -> float:
    """Per block K and K^T: 2 convolutions of 2 k^3 C rank operations at each position of its level."""
    frames, height, width = padded_size(net.config, size)
    channels = level_channels(net.config)[0]
    taps = net.config.kernel_size**3
    # Haar keeps channels x positions, so a block costs the same on every level.
    return sum(
        4.0 * taps * plan.rank * channels * frames * height * width for plan in blocks_of(net.config) if plan.kind == "leapfrog"
    )


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """logits (L, H, W, O), labels (1, L, H, W)."""
    loss = SegmentationLoss()
    return loss.value(loss.statistics(logits.flatten(0, -2), labels.flatten().long()))


def _iunet(case: Case, device: torch.device, width: int) -> Model:
    from iunets import iUNet

    if case.depth[-1] % 2:
        raise ValueError(f"an iUNet visits its coarsest level twice and cannot match depth {case.depth}; make it even")
    channels = width * case.channels
    architecture = (*case.depth[:-1], case.depth[-1] // 2)
    return OtherNetwork(iUNet(channels, architecture, dim=3, verbose=0), channels, 2**case.levels, device, autocast=False)


def _monai(case: Case, device: torch.device, which: str) -> Model:
    from monai.networks.nets import SegResNet, UNet

    if which == "UNet":
        body: nn.Module = UNet(3, 3, CLASSES, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    else:
        body = SegResNet(
            3,
            init_filters=16,
            in_channels=3,
            out_channels=CLASSES,
            blocks_down=(1, 2, 2, 4),
            blocks_up=(1, 1, 1),
        )
    return OtherNetwork(body, None, 16, device, autocast=fast_convolution_dtype() == torch.bfloat16)


PEERS = {
    "revseg": Peer("revseg, exact fp32", Revseg),
    "revseg-int16": Peer(
        "revseg, exact int16 + bf16 adjoints",
        lambda case, device: Revseg(case, device, state_dtype="int16", adjoint_dtype="bfloat16"),
    ),
    "revseg-kept": Peer("revseg, exact fp32, hidden kept", lambda case, device: Revseg(case, device, keep_hidden=True)),
    "revseg-float32": Peer(
        "revseg, exact fp32, fp32 convolutions",
        lambda case, device: Revseg(case, device, convolution_dtype="float32"),
    ),
    "revseg-unfused": Peer("revseg, exact fp32, without fused kernels", lambda case, device: Revseg(case, device, fused=False)),
    "plain": Peer("same network, plain autograd", lambda case, device: Otherwise(case, device, "plain")),
    "checkpoint": Peer("same network, torch.utils.checkpoint", lambda case, device: Otherwise(case, device, "checkpoint")),
    "memcnn": Peer("same network, memcnn", lambda case, device: Otherwise(case, device, "memcnn")),
    "naive": Peer("same network, naive fp32", lambda case, device: Otherwise(case, device, "naive")),
    "iunets": Peer("iunets, 2C channels", lambda case, device: _iunet(case, device, 2)),
    "iunets-half": Peer("iunets, C channels", lambda case, device: _iunet(case, device, 1)),
    "monai-unet": Peer("MONAI UNet", lambda case, device: _monai(case, device, "UNet")),
    "monai-segresnet": Peer("MONAI SegResNet", lambda case, device: _monai(case, device, "SegResNet")),
}
