"""Random variants of a video, volume and labels together.

The volume stays uint8: whatever needs floating point is done a few frames at a time.
"""

import math
from collections.abc import Iterator
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
    gain: float = 0.05
    """Each colour channel is multiplied by a factor up to this far from 1."""
    bias: float = 0.02
    """Each colour channel is shifted by up to this share of the full range."""
    rotation: float = 10.0
    """Largest rotation, in degrees."""
    scale: float = 0.1
    """Largest relative change of size."""
    shear: float = 0.05
    """Largest shear, as tangent."""
    translation: float = 0.05
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
    """With the evidence, where there is any, as further channels."""
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
    offset = tuple(int(torch.randint(size, (), generator=generator)) for size in multiple)
    chances = torch.tensor([config.flip_width, config.flip_time])
    mirrored, backwards = (torch.rand(2, generator=generator) < chances).tolist()
    gain = 1 + config.gain * _symmetric(generator, 3)
    bias = 255 * config.bias * _symmetric(generator, 3)
    grid = _sampling_grid(config, sample.height, sample.width, generator) if config.warps else None

    volume, evidence, labels, frames = sample.volume, sample.evidence, sample.labels, sample.labelled_frames
    if config.warps or config.gain or config.bias:
        volume = _resample(volume, grid, gain, bias)
    if grid is not None:
        labels = _resample_labels(labels, grid)
        evidence = None if evidence is None else _resample_evidence(evidence, grid)
    if evidence is not None:
        volume = torch.cat([volume, evidence])
    if mirrored:
        volume, labels = volume.flip(3), labels.flip(2)
    if backwards:
        volume, labels = volume.flip(1), labels.flip(0)
        frames = tuple(sample.frames - 1 - frame for frame in reversed(frames))
    return Augmented(volume, labels, frames, offset if config.offset else (0, 0, 0))  # type: ignore[arg-type]


def _symmetric(generator: Generator, *shape: int) -> Tensor:
    """Uniform in [-1, 1)."""
    return 2 * torch.rand(shape, generator=generator) - 1


def _sampling_grid(config: AugmentConfig, height: int, width: int, generator: Generator) -> Tensor:
    """Where each output pixel comes from: (1, H, W, 2) in [-1, 1], as `grid_sample` takes it."""
    turn, size, shear, right, down = _symmetric(generator, 5).tolist()
    angle, zoom, tan = math.radians(config.rotation * turn), (1 + config.scale) ** size, config.shear * shear
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    aspect = width / height  # half a frame is the unit on both axes: without this, circles become ellipses
    x = [cos + sin * tan, (sin + cos * tan) / aspect, 2 * config.translation * right]
    y = [-sin * aspect, cos, 2 * config.translation * down]
    grid = F.affine_grid(torch.tensor([[x, y]]), [1, 1, height, width], align_corners=False)
    if config.elastic:
        coarse = 2 * config.elastic * _symmetric(generator, 1, 2, 4, 4)
        coarse[:, 0] /= aspect
        smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        grid = grid + smooth.permute(0, 2, 3, 1)
    return grid


def _resample(volume: Tensor, grid: Tensor | None, gain: Tensor, bias: Tensor) -> Tensor:
    """The volume seen through the grid, with gain and bias of each channel."""
    result = torch.empty_like(volume)
    gain, bias = (part.to(volume.device).view(3, 1, 1, 1) for part in (gain, bias + 0.5))  # 0.5: to round
    for some in _chunks(volume.shape[1], 3 * volume[0, 0].numel()):
        part = volume[:, some].float()
        if grid is not None:
            # Frames as channels: the weights of a position are computed once for all of them.
            part = _sample(part.flatten(0, 1), grid, "bilinear", "reflection").view_as(part)
        result[:, some] = part.mul_(gain).add_(bias).clamp_(0, 255)
    return result


def _resample_evidence(evidence: Tensor, grid: Tensor) -> Tensor:
    """None of it where the grid leaves the frame."""
    result = torch.empty_like(evidence)
    for some in _chunks(evidence.shape[1], evidence[:, 0].numel()):
        part = evidence[:, some].float()
        result[:, some] = _sample(part.flatten(0, 1), grid, "bilinear", "zeros").view_as(part).add_(0.5)
    return result


def _resample_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """The nearest label; void where the grid leaves the frame."""
    result = torch.empty_like(labels)
    outside = _sample(torch.ones(1, *labels.shape[1:], device=labels.device), grid, "nearest", "zeros") == 0
    for some in _chunks(len(labels), labels[:1].numel()):
        result[some] = _sample(labels[some].float(), grid, "nearest", "zeros").masked_fill_(outside, VOID)
    return result


def _sample(planes: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """(C, H, W) -> (C, H, W)."""
    grid = grid.to(planes.device)
    return F.grid_sample(planes[None], grid, mode, padding, align_corners=False)[0]


def _chunks(frames: int, size: int) -> Iterator[slice]:
    """Frames of `size` values each, a few at a time."""
    count = max(1, CHUNK // max(1, size))
    return (slice(start, start + count) for start in range(0, frames, count))
