"""Everything that is measured, by name, behind one interface: step, infer, forward_flops.

A model trains on a uint8 volume (1, 3, T, H, W) with labels (1, L, H, W) of a few frames, and segments a volume into a uint8 mask
(T, H, W). Opening, head and loss are the same for all: 1x1x1 convolutions, cross-entropy and Dice on the labelled frames.

- iunets: float32 as it comes (under bfloat16 autocast its inverse fails). As many layers per level as revseg has blocks; a layer
  is one convolution from half of the channels to the other half.
- MONAI: UNet and SegResNet as in its tutorials, under bfloat16 autocast where the processor is fast at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from revseg.network.inference import predict_probabilities
from revseg.network.network import RevSegNet, fast_convolution_dtype, normalise
from revseg.network.plan import blocks_of, padded_size
from revseg.network.step import training_step
from revseg.training.loss import SegmentationLoss
from speed.case import Case, Size
from speed.same_network import FastFields, NaiveFields, SameNetwork

WARM_SIZE: Size = (16, 32, 32)  # divisible by everything here; also the volume on which FLOPs are counted
CLASSES = 2


class Model:
    """One peer, built for one case."""

    net: nn.Module

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.net.parameters()

    def forward_flops(self, size: Size) -> float:
        """Counts per block K and K^T: 2 convolutions of 2 k^3 C rank operations at each position of its level."""
        assert isinstance(self.net, RevSegNet)
        config = self.net.config
        # Haar keeps channels x positions, so a block costs the same on every level.
        each = 4.0 * config.kernel_size**3 * config.channels * prod(padded_size(config, size))
        return sum(each * plan.rank for plan in blocks_of(config) if plan.kind == "leapfrog")


class Revseg(Model):
    """revseg itself: its training step and its inference."""

    net: RevSegNet

    def __init__(self, case: Case, device: torch.device, fused: bool = True, **settings: Any) -> None:
        self.net = network(case, device, **settings)
        if not fused:
            from revseg.reversible.kernels import switch

            switch.enable(False)

    def step(self, volume: Tensor, labels: Tensor, frames: list[int]) -> Tensor:
        return training_step(self.net, volume, labels, labelled_frames=frames, loss=SegmentationLoss()).loss

    def infer(self, volume: Tensor) -> Tensor:
        mask = torch.empty(volume.shape[2:], dtype=torch.uint8, device=volume.device)
        for start, probabilities in predict_probabilities(self.net, volume[0]):
            mask[start : start + probabilities.shape[1]] = probabilities.argmax(0)
        return mask


class UnderAutograd(Model):
    """A network under autograd: what it adds is ``logits``, (L, H, W, O) of some frames."""

    logits: Callable[[Tensor, list[int]], Tensor]

    def step(self, volume: Tensor, labels: Tensor, frames: list[int]) -> Tensor:
        loss = SegmentationLoss()
        value = loss.value(loss.statistics(self.logits(volume, frames).flatten(0, -2), labels.flatten().long()))
        value.backward()
        return value.detach()

    @torch.no_grad()
    def infer(self, volume: Tensor) -> Tensor:
        return self.logits(volume, list(range(volume.shape[2]))).argmax(-1).to(torch.uint8)


class Otherwise(UnderAutograd):
    """The same network, run some other way."""

    def __init__(self, case: Case, device: torch.device, way: str) -> None:
        self.net = net = network(case, device)
        h = net.config.step_size
        fields = NaiveFields(h) if way == "naive" else FastFields(h, net.sequence.convolution_dtype)
        self.network = SameNetwork(net, fields, checkpointed=way == "checkpoint")
        self.logits = self.network.logits


class OtherNetwork(UnderAutograd):
    """A network of another library, with opening and head where it needs them; fields (1, C, T, H, W)."""

    def __init__(self, body: nn.Module, channels: int | None, multiple: int, device: torch.device, autocast: bool) -> None:
        opening = nn.Identity() if channels is None else nn.Conv3d(3, channels, 1)
        head = nn.Identity() if channels is None else nn.Linear(channels, CLASSES)
        self.net = self.parts = nn.ModuleList([opening, body, head]).to(device)
        self.multiple, self.autocast, self.logits = multiple, autocast, self._logits

    def forward_flops(self, size: Size) -> float:
        """Counts on a small volume; convolutions cost the same for every voxel."""
        device = next(self.parameters()).device
        with FlopCounterMode(display=False) as counter:
            self.infer(torch.zeros(1, 3, *WARM_SIZE, dtype=torch.uint8, device=device))
        return counter.get_total_flops() * prod(n + -n % self.multiple for n in size) / prod(WARM_SIZE)

    def _logits(self, volume: Tensor, frames: list[int]) -> Tensor:
        height, width = volume.shape[3:]
        opening, body, head = self.parts
        inputs = normalise(volume)
        missing = [-n % self.multiple for n in volume.shape[2:]]
        if any(missing):
            inputs = F.pad(inputs, (0, missing[2], 0, missing[1], 0, missing[0]))
        # A slice of all frames is a view, where a list of them copies.
        some: list[int] | slice = slice(volume.shape[2]) if len(frames) == volume.shape[2] else frames
        with torch.autocast(volume.device.type, torch.bfloat16, enabled=self.autocast):
            return head(body(opening(inputs))[0, :, some, :height, :width].movedim(0, -1)).float()


def network(case: Case, device: torch.device, **settings: Any) -> RevSegNet:
    """Returns the RevSegNet of a case, the same weights for every peer."""
    torch.manual_seed(0)
    shape = {"channels": case.channels, "levels": len(case.depth) - 1, "depth": case.depth, "rank": case.rank}
    return RevSegNet(step_size=case.step_size, classes=CLASSES, **shape, **settings).to(device)


def _iunet(case: Case, device: torch.device, width: int) -> UnderAutograd:
    from iunets import iUNet

    if case.depth[-1] % 2:
        raise ValueError(f"an iUNet visits its coarsest level twice and cannot match depth {case.depth}; make it even")
    channels = width * case.channels
    architecture = (*case.depth[:-1], case.depth[-1] // 2)
    return OtherNetwork(
        iUNet(channels, architecture, dim=3, verbose=0), channels, 2 ** (len(case.depth) - 1), device, autocast=False
    )


def _monai(case: Case, device: torch.device, which: str) -> UnderAutograd:
    from monai.networks.nets import SegResNet, UNet

    if which == "UNet":
        body: nn.Module = UNet(3, 3, CLASSES, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)
    else:
        filters = {"init_filters": 16, "blocks_down": (1, 2, 2, 4), "blocks_up": (1, 1, 1)}
        body = SegResNet(3, in_channels=3, out_channels=CLASSES, **filters)
    return OtherNetwork(body, None, 16, device, autocast=fast_convolution_dtype() == torch.bfloat16)


PEERS: dict[str, tuple[str, Callable[[Case, torch.device], Revseg | UnderAutograd]]] = {
    "revseg": ("revseg, exact fp32", Revseg),
    "revseg-int16": ("revseg, exact int16 + bf16 adjoints", partial(Revseg, state_dtype="int16", adjoint_dtype="bfloat16")),
    "revseg-kept": ("revseg, exact fp32, hidden kept", partial(Revseg, keep_hidden=True)),
    "revseg-float32": ("revseg, exact fp32, fp32 convolutions", partial(Revseg, convolution_dtype="float32")),
    "revseg-unfused": ("revseg, exact fp32, without fused kernels", partial(Revseg, fused=False)),
    "plain": ("same network, plain autograd", partial(Otherwise, way="plain")),
    "checkpoint": ("same network, torch.utils.checkpoint", partial(Otherwise, way="checkpoint")),
    "naive": ("same network, naive fp32", partial(Otherwise, way="naive")),
    "iunets": ("iunets, 2C channels", partial(_iunet, width=2)),
    "iunets-half": ("iunets, C channels", partial(_iunet, width=1)),
    "monai-unet": ("MONAI UNet", partial(_monai, which="UNet")),
    "monai-segresnet": ("MONAI SegResNet", partial(_monai, which="SegResNet")),
}
