"""MONAI's 3D UNet by revseg's recipe: same labels and evidence, augmentation, loss, schedule, clipping, steps and size; AdamW.

The network of MONAI's tutorials: channels 16, 32, 64, 128, 256, two residual units, convolutions in bfloat16 where that is fast.
It predicts once: placements, which average over revseg's grid, are not for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg.config import TrainConfig
from revseg.network.network import fast_convolution_dtype, normalise
from revseg.training.augment import Augmented, augment
from revseg.training.config import RATES
from revseg.training.feed import generator_for, made_ahead
from revseg.training.loss import SegmentationLoss
from revseg.training.progress import Progress
from revseg.training.schedule import one_cycle
from revseg.training.task import Task

MULTIPLE = 16  # four coarsenings by 2

Offset = tuple[int, ...]


def new_unet(inputs: int, classes: int, seed: int, device: torch.device) -> nn.Module:
    """inputs: channels of the volume; those beyond RGB are evidence, and added to the logits, as in a revseg network."""
    from monai.networks.nets import UNet

    torch.manual_seed(seed)
    unet = UNet(3, inputs, classes, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2).to(device)
    return unet if inputs == 3 else Corrected(unet, classes)


class Corrected(nn.Module):
    """What evidence says, corrected by a network."""

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.net, self.classes = net, classes

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs) + inputs[:, 3 : 3 + self.classes]


def fit(net: nn.Module, task: Task, config: TrainConfig) -> Progress:
    """Trains in place."""
    training, optimizer_config = config.training, config.training.optimizer
    # Where the recipe is not AdamW, its default: Muon's rates are for other matrices.
    rate = optimizer_config.rates[1] if optimizer_config.name == "adamw" else RATES["adamw"][1]
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=optimizer_config.weight_decay)
    loss, progress = SegmentationLoss(training.loss), Progress(training.steps, training.minutes)
    device = next(net.parameters()).device
    items = made_ahead(lambda index: item(task, config, index, device), count(), training.ahead, device=device)
    net.train()
    with closing(items):
        while not progress.finished:
            with progress.timed():
                for _ in range(training.videos):
                    (value(net, *next(items), loss) / training.videos).backward()
                nn.utils.clip_grad_norm_(net.parameters(), training.clip)
                for group in optimizer.param_groups:
                    group["lr"] = rate * one_cycle(progress.fraction)
                optimizer.step()
                optimizer.zero_grad()
                progress.step += 1
    return progress


def item(task: Task, config: TrainConfig, index: int, device: torch.device) -> tuple[Augmented, Offset]:
    """Returns an augmented video, and where it lies in its padding: on a random side, as revseg's lies on its grid."""
    variant = augment(task.item(index), config.augment, generator_for("augmentation", config.seed, index), device=device)
    generator = generator_for("placement", config.seed, index)
    spare = [-n % MULTIPLE + 1 for n in variant.volume.shape[1:]]
    return variant, tuple(int(torch.randint(end, (), generator=generator)) for end in spare)


def value(net: nn.Module, video: Augmented, offset: Offset, loss: SegmentationLoss) -> Tensor:
    device = next(net.parameters()).device
    found = logits(net, video.volume.to(device), offset)[:, list(video.labelled_frames)].float()
    return loss.value(loss.statistics(found.flatten(1).T, video.labels.to(device).flatten().long()))


def logits(net: nn.Module, volume: Tensor, offset: Offset) -> Tensor:
    """(I, T, H, W) uint8 -> (O, T, H, W), by way of the volume padded with zeros to multiples of 16."""
    size = volume.shape[1:]
    sides = [(before, -n % MULTIPLE - before) for before, n in zip(offset, size, strict=True)]
    inputs = F.pad(normalise(volume[None]), [width for pair in reversed(sides) for width in pair])
    with torch.autocast(volume.device.type, torch.bfloat16, enabled=fast_convolution_dtype() == torch.bfloat16):
        outputs = net(inputs)[0]
    t, h, w = (slice(before, before + n) for before, n in zip(offset, size, strict=True))
    return outputs[:, t, h, w]


@torch.no_grad()
def probabilities(net: nn.Module, volume: Tensor) -> Iterator[Tensor]:
    """Yields (O, H, W) of each frame."""
    net.eval()
    centred = tuple(-n % MULTIPLE // 2 for n in volume.shape[1:])
    for frame in logits(net, volume.to(next(net.parameters()).device), centred).unbind(1):
        yield frame.float().softmax(0)
