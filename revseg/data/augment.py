"""Random variants of a video, volume and labels together.

The volume stays uint8: whatever needs floating point is done a few frames at a time.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from revseg.data.sample import VOID, Sample

CHUNK = 1 << 21  # floating-point values in use at a time, about what fits a cache


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the augmentations; 0 turns one off."""

    offset: bool = True
    """Place the volume at a random position of the network's grid. Leave it on: the Haar grid is not
    shift-invariant, and without it a network knows only the phases of the labelled frames."""
    flip_width: float = 0.5
    """Probability of mirroring left and right."""
    flip_time: float = 0.5
    """Probability of running backwards."""
    gain: float = 0.1
    """Each colour channel is multiplied by a factor up to this far from 1."""
    bias: float = 0.05
    """Each colour channel is shifted by up to this share of the full range."""
    rotation: float = 10.0
    """Largest rotation, in degrees."""
    scale: float = 0.15
    """Largest relative change of size."""
    shear: float = 0.05
    """Largest shear, as tangent."""
    translation: float = 0.1
    """Largest shift, as share of the height and of the width."""
    elastic: float = 0.0
    """Largest displacement of a smooth random deformation, as share of the height."""

    def __post_init__(self) -> None:
        for name in ("flip_width", "flip_time", "gain", "bias", "scale", "shear", "translation", "elastic"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augment.{name} is {getattr(self, name)}: give a number from 0 to 1")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"augment.rotation is {self.rotation}: give 0 to 180 degrees")

    @property
    def warps(self) -> bool:
        return any((self.rotation, self.scale, self.shear, self.translation, self.elastic))


@dataclass(frozen=True)
class Augmented:
    """A variant of a sample, with the fields of the same names."""

    volume: Tensor
    labels: Tensor
    labelled_frames: tuple[int, ...]
    offset: tuple[int, int, int]
    """Where on its grid the network shall place the volume, along (T, H, W)."""


def augment(
    sample: Sample, config: AugmentConfig, generator: Generator, multiple: tuple[int, int, int] = (1, 1, 1)
) -> Augmented:
    """A random variant; the same state of the generator, which is on the CPU, gives the same one.

    multiple: of the network, along (T, H, W): the offset is drawn below it. What a warp brings into view from
    outside the frame is a mirror image in the volume, and void in the labels.
    """
    offset = tuple(
        int(torch.randint(size, (), generator=generator)) if config.offset else 0 for size in multiple
    )
    flip_width, flip_time = (
        _uniform(generator, 0, 1) < share for share in (config.flip_width, config.flip_time)
    )
    gain = 1 + config.gain * _symmetric(generator, 3)
    bias = 255 * config.bias * _symmetric(generator, 3)
    volume, labels, frames = sample.volume, sample.labels, sample.labelled_frames
    grid = (
        _sampling_grid(config, sample.height, sample.width, generator).to(volume.device)
        if config.warps
        else None
    )
    if grid is not None or config.gain or config.bias:
        volume = _resample(volume, grid, gain.to(volume.device), bias.to(volume.device))
    if grid is not None:
        labels = _resample_labels(labels, grid)
    if flip_width:
        volume, labels = volume.flip(3), labels.flip(2)
    if flip_time:
        volume, labels = volume.flip(1), labels.flip(0)
        frames = tuple(sample.frames - 1 - frame for frame in reversed(frames))
    return Augmented(volume, labels, frames, offset)  # type: ignore[arg-type]


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _symmetric(generator: Generator, *shape: int) -> Tensor:
    """Uniform in [-1, 1)."""
    return 2 * torch.rand(shape, generator=generator) - 1


def _sampling_grid(config: AugmentConfig, height: int, width: int, generator: Generator) -> Tensor:
    """Where each output pixel comes from: (1, H, W, 2) in [-1, 1], as `grid_sample` takes it."""
    turn, size, shear, *shift = _symmetric(generator, 5).tolist()
    angle, zoom = math.radians(config.rotation * turn), (1 + config.scale) ** size
    cos, sin, tan = math.cos(angle) / zoom, math.sin(angle) / zoom, config.shear * shear
    aspect = (
        width / height
    )  # rotate in pixels, not in units of half the frame: else a circle becomes an ellipse
    affine = torch.tensor(
        [
            [cos + sin * tan, (sin + cos * tan) / aspect, 2 * config.translation * shift[0]],
            [-sin * aspect, cos, 2 * config.translation * shift[1]],
        ]
    )
    grid = F.affine_grid(affine[None], [1, 1, height, width], align_corners=False)
    if config.elastic:
        coarse = (
            _symmetric(generator, 1, 2, 4, 4)
            * torch.tensor([1 / aspect, 1]).view(1, 2, 1, 1)
            * config.elastic
        )
        smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        grid = grid + 2 * smooth.permute(0, 2, 3, 1)
    return grid


def _resample(volume: Tensor, grid: Tensor | None, gain: Tensor, bias: Tensor) -> Tensor:
    """The volume seen through the grid, with gain and bias of each channel."""
    result = torch.empty_like(volume)
    _, frames, height, width = volume.shape
    count = max(1, CHUNK // (3 * height * width))
    for start in range(0, frames, count):
        part = volume[:, start : start + count].float()
        if (
            grid is not None
        ):  # frames as channels: the weights of a position are computed once for all of them
            planes = part.reshape(1, -1, height, width)
            part = F.grid_sample(planes, grid, padding_mode="reflection", align_corners=False).view_as(part)
        part = part.mul_(gain.view(3, 1, 1, 1)).add_(bias.view(3, 1, 1, 1) + 0.5).clamp_(0, 255)
        result[:, start : start + count] = part
    return result


def _resample_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """The nearest label; void where the grid leaves the frame."""
    result = torch.empty_like(labels)
    inside = F.grid_sample(
        torch.ones_like(labels[:1], dtype=torch.float)[None], grid, mode="nearest", align_corners=False
    )
    count = max(1, CHUNK // labels[0].numel()) if len(labels) else 1
    for start in range(0, len(labels), count):
        planes = labels[None, start : start + count].float()
        part = F.grid_sample(planes, grid, mode="nearest", align_corners=False)
        result[start : start + count] = part[0].masked_fill_(inside[0] == 0, VOID)
    return result
