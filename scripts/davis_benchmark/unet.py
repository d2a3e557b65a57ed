"""MONAI's 3D UNet by revseg's recipe: same labels and evidence, augmentation, loss, schedule, clipping, steps and size; AdamW.

The network of MONAI's tutorials: channels 16, 32, 64, 128, 256, two residual units, convolutions in bfloat16 where that is fast.
Where a whole video does not fit into memory it sees clips of it: in training a random one around a labelled frame, in
prediction one after the other. It predicts once: offsets, which average over revseg's grid, are not for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from revseg.config import TrainConfig
from revseg.network.network import fast_convolution_dtype, normalise
from revseg.training.augment import Augmented, augment
from revseg.training.ema import WeightAverage
from revseg.training.feed import generator_for, made_ahead
from revseg.training.loss import SegmentationLoss
from revseg.training.optimizer import RATES
from revseg.training.progress import Progress
from revseg.training.schedule import schedule_named
from revseg.training.task import Experiment

MULTIPLE = 16  # four coarsenings by 2

Offset = tuple[int, int, int]


def new_unet(inputs: int, classes: int, seed: int, device: torch.device) -> nn.Module:
    """inputs: channels of the volume; those beyond RGB are evidence, and added to the logits, as in a guided revseg network."""
    from monai.networks.nets import UNet

    torch.manual_seed(seed)
    unet = UNet(3, inputs, classes, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2).to(device)
    return unet if inputs == 3 else Guided(unet, classes)


class Guided(nn.Module):
    """What evidence says, corrected by a network."""

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.net, self.classes = net, classes

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs) + inputs[:, 3 : 3 + self.classes]


def fit(net: nn.Module, experiment: Experiment, config: TrainConfig, clip: int) -> Progress:
    """Train in place, on clips of `clip` frames; leaves the averaged weights where the recipe has an average."""
    training = config.training
    optimizer = torch.optim.AdamW(net.parameters(), lr=peak_rate(config), weight_decay=training.optimizer.weight_decay)
    loss, schedule = SegmentationLoss(training.loss), schedule_named(training.schedule)
    average = None if training.ema is None else WeightAverage(net, training.ema)
    progress = Progress(training.steps, training.minutes)
    device = next(net.parameters()).device
    items = made_ahead(lambda index: item(experiment, config, clip, index, device), 0, training.ahead, device)
    net.train()
    with closing(items):
        while not progress.finished:
            with progress.timed():
                for _ in range(training.accumulation):
                    (value(net, *next(items), loss) / training.accumulation).backward()
                nn.utils.clip_grad_norm_(net.parameters(), training.clip)
                for group in optimizer.param_groups:
                    group["lr"] = peak_rate(config) * schedule(progress.fraction)
                optimizer.step()
                optimizer.zero_grad()
                progress.step += 1
                if average is not None:
                    average.update(net, progress.step)
    if average is not None:
        net.load_state_dict(average.weights)
    return progress


def peak_rate(config: TrainConfig) -> float:
    """training.optimizer.rate where the recipe is AdamW, else AdamW's default: Muon's rates are for other matrices."""
    optimizer = config.training.optimizer
    return optimizer.rates[1] if optimizer.name == "adamw" else RATES["adamw"][1]


def item(experiment: Experiment, config: TrainConfig, clip: int, index: int, device: torch.device) -> tuple[Augmented, Offset]:
    """An augmented clip, and where it lies in its padding: on a random side, as revseg's lies on its grid."""
    generator = generator_for("augmentation", config.seed, index)
    variant = augment(experiment.sample(index), config.augment, generator, device=device)
    generator = generator_for("clip", config.seed, index)
    part = cut(variant, clip, generator)
    offset = tuple(random_below(-n % MULTIPLE + 1, generator) for n in part.volume.shape[1:])
    return part, offset  # type: ignore[return-value]


def cut(variant: Augmented, clip: int, generator: Generator) -> Augmented:
    """A random clip that holds a random labelled frame."""
    frames = variant.volume.shape[1]
    if clip >= frames:
        return variant
    chosen = variant.labelled_frames[random_below(len(variant.labelled_frames), generator)]
    first, last = max(0, chosen - clip + 1), min(chosen, frames - clip)
    start = first + random_below(last - first + 1, generator)
    rows = [row for row, frame in enumerate(variant.labelled_frames) if start <= frame < start + clip]
    kept = tuple(variant.labelled_frames[row] - start for row in rows)
    return Augmented(variant.volume[:, start : start + clip], variant.labels[rows], kept, variant.offset)


def random_below(end: int, generator: Generator) -> int:
    return int(torch.randint(end, (), generator=generator))


def value(net: nn.Module, clip: Augmented, offset: Offset, loss: SegmentationLoss) -> Tensor:
    device = next(net.parameters()).device
    found = logits(net, clip.volume.to(device), offset)[:, list(clip.labelled_frames)].float()
    return loss.value(loss.statistics(found.flatten(1).T, clip.labels.to(device).flatten().long()))


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
def probabilities(net: nn.Module, volume: Tensor, clip: int) -> Iterator[Tensor]:
    """(O, H, W) of each frame, clip by clip; the last clip reaches back to be as long as the others."""
    net.eval()
    frames = volume.shape[1]
    device = next(net.parameters()).device
    for start in range(0, frames, clip):
        first = max(0, min(start, frames - clip))
        part = volume[:, first : first + clip].to(device)
        centred = tuple(-n % MULTIPLE // 2 for n in part.shape[1:])
        for frame in logits(net, part, centred)[:, start - first :].unbind(1):  # type: ignore[arg-type]
            yield frame.float().softmax(0)
