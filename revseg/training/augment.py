"""Random variants of a video, volume and labels together.

The volume stays uint8: whatever needs floating point is done a few frames at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from revseg import storage
from revseg.labels.palette import VOID
from revseg.network.config import NetworkConfig
from revseg.network.memory import Size
from revseg.training.config import AugmentConfig
from revseg.training.item import Item

# Floating-point values in use at a time: about what fits a cache; on a GPU enough for launches to be worth while.
CHUNK = {"cpu": 1 << 21, "cuda": 1 << 22}

COPIES = 3
"""Copies of these values: as they were, seen through the grid, and with their evidence (measured: 27 MB for 2^21)."""


@dataclass(frozen=True)
class Augmented:
    """A variant of an item, with the fields of the same names."""

    volume: Tensor
    """With the evidence, where there is any, as further channels."""
    labels: Tensor
    labelled_frames: tuple[int, ...]
    offset: tuple[int, int, int]
    """Where on its grid the network shall place the volume, along (T, H, W)."""
    frames: int
    """T, of which the volume may have some alone."""

    def to(self, device: torch.device) -> Augmented:
        """The same with its pixels on a device."""
        volume, labels = (part.to(device, non_blocking=True) for part in (self.volume, self.labels))
        return replace(self, volume=volume, labels=labels)


def augment(
    item: Item,
    config: AugmentConfig,
    generator: Generator,
    *,
    multiple: tuple[int, int, int] = (1, 1, 1),
    device: torch.device | None = None,
    seen: Callable[[int], range] | None = None,
) -> Augmented:
    """A random variant; the same state of the generator, which is on the CPU, gives the same one.

    multiple: of the network, along (T, H, W): the offset is drawn below it. What a warp brings into view from
    outside the frame is a mirror image in the volume, and void in the labels.
    device: where it is computed, a few frames at a time; None: where the item is. The variant lies where the item does, and
    pinned if a GPU computes it: only what a step needs then lies on that.
    seen: which of its frames are made, by its offset along T; None: all. Labels are those of all.
    """
    device = device or item.volume.device
    drawn = tuple(int(torch.randint(size, (), generator=generator)) for size in multiple)
    offset = drawn if config.offset else (0, 0, 0)
    own = range(item.frames) if seen is None else seen(offset[0])
    chances = torch.tensor([config.flip_width, config.flip_time])
    mirrored, backwards = (torch.rand(2, generator=generator) < chances).tolist()
    shown = len(item.volume)
    gain = 1 + config.gain * _symmetric(generator, shown)
    bias = 255 * config.bias * _symmetric(generator, shown) + 0.5  # to round
    gain, bias = (part.view(shown, 1, 1, 1).to(device) for part in (gain, bias))
    grid = _sampling_grid(config, item.height, item.width, generator=generator).to(device) if config.warps else None

    channels = shown if item.evidence is None else shown + item.evidence.classes + 1
    if item.volume.device.type == "cpu":
        volume = storage.empty(channels, len(own), *item.volume.shape[2:], pinned=device.type == "cuda")
    else:
        volume = item.volume.new_empty(channels, len(own), *item.volume.shape[2:])
    source = range(item.frames - own.stop, item.frames - own.start) if backwards else own
    for some in _chunks(source, volume[:, 0].numel(), device):
        part = item.volume[:, some].to(device)
        if config.warps or config.gain or config.bias:
            part = _resampled(part, grid, gain, bias=bias)
        if item.evidence is not None:
            evidence = item.evidence.planes(some).to(device)
            part = torch.cat([part, evidence if grid is None else _resampled_evidence(evidence, grid)])
        at = slice(some.start - source.start, some.stop - source.start)
        _put(volume, at, part, mirrored=mirrored, backwards=backwards)
    labels, frames = item.labels.to(device), item.labelled_frames
    if grid is not None:
        labels = _resample_labels(labels, grid)
    if mirrored:
        labels = labels.flip(2)
    if backwards:
        labels = labels.flip(0)
        frames = tuple(item.frames - 1 - frame for frame in reversed(frames))
    labels = labels.to(item.labels.device)
    return Augmented(volume, labels, frames, offset=offset, frames=item.frames)  # type: ignore[arg-type]


def augmenting_bytes(config: NetworkConfig, size: Size, device: str) -> int:
    """Bytes of what making an item of a video (T, H, W) takes beside it, where it is made in the host's memory."""
    if device != "cpu":
        return 0
    values = config.inputs * size[0] * size[1] * size[2]
    return min(CHUNK["cpu"], values) * COPIES * torch.float32.itemsize


def _put(volume: Tensor, some: slice, part: Tensor, mirrored: bool, backwards: bool) -> None:
    """Frames (I, t, H, W) to where they belong in the volume (I, T, H, W)."""
    if mirrored:
        part = part.flip(3)
    if backwards:
        part, some = part.flip(1), slice(volume.shape[1] - some.stop, volume.shape[1] - some.start)
    for to, values in zip(volume[:, some], part, strict=True):  # each one run of memory: a GPU writes it without a detour
        to.copy_(values)


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
    return F.affine_grid(torch.tensor([[x, y]]), [1, 1, height, width], align_corners=False)


def _resampled(part: Tensor, grid: Tensor | None, gain: Tensor, bias: Tensor) -> Tensor:
    """Frames (C, t, H, W) uint8 seen through the grid, with gain and bias of each channel."""
    values = part.float()
    if grid is not None:
        # Frames as channels: the weights of a position are computed once for all of them.
        values = _sample(values.flatten(0, 1), grid, "bilinear", padding="reflection").view_as(values)
    return values.mul_(gain).add_(bias).clamp_(0, 255).to(torch.uint8)


def _resampled_evidence(part: Tensor, grid: Tensor) -> Tensor:
    """Evidence (classes + 1, t, H, W) uint8 seen through the grid; none of it where the grid leaves the frame."""
    values = part.float()
    return _sample(values.flatten(0, 1), grid, "bilinear", padding="zeros").view_as(values).add_(0.5).to(torch.uint8)


def _resample_labels(labels: Tensor, grid: Tensor) -> Tensor:
    """The nearest label; void where the grid leaves the frame."""
    result = torch.empty_like(labels)
    outside = _sample(torch.ones(1, *labels.shape[1:], device=labels.device), grid, "nearest", padding="zeros") == 0
    for some in _chunks(range(len(labels)), labels[:1].numel(), labels.device):
        result[some] = _sample(labels[some].float(), grid, "nearest", padding="zeros").masked_fill_(outside, VOID)
    return result


def _sample(planes: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """(C, H, W) -> (C, H, W)."""
    return F.grid_sample(planes[None], grid, mode, padding, align_corners=False)[0]


def _chunks(frames: range, size: int, device: torch.device) -> Iterator[slice]:
    """Frames of `size` values each, a few at a time."""
    count = max(1, CHUNK.get(device.type, CHUNK["cpu"]) // max(1, size))
    return (slice(start, min(start + count, frames.stop)) for start in range(frames.start, frames.stop, count))
