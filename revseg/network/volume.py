"""Places the real video in the padded volume, and moves pixels and features between the two.

The video may lie on the network's device or on the host: it is copied a few frames at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.network.network import RevSegNet, normalise
from revseg.network.plan import output_stride, padded_size
from revseg.reversible.grid import Grid
from revseg.reversible.state import State


@dataclass(frozen=True)
class Placement:
    """A video of ``size`` (T, H, W) at ``offset`` in a padded volume of size ``padded``."""

    size: tuple[int, int, int]
    offset: tuple[int, int, int]
    padded: tuple[int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)
    """Pixels along each axis of a cell that the head sees."""

    @classmethod
    def of(cls, net: RevSegNet, volume: Tensor, offset: tuple[int, int, int]) -> Placement:
        """Returns the placement of a volume (N, I, T, H, W)."""
        frames, height, width = volume.shape[2:]
        size = (frames, height, width)
        return cls(size, offset, padded_size(net.config, size, offset), stride=output_stride(net.config))

    def crop(self, fields: Tensor, start: int, stop: int) -> Tensor:
        """Returns a view of the cells that hold the video's frames [start, stop): (N, T', H', W', C) -> (N, t, h, w, C)."""
        (_, height, width), (t, h, w) = self.size, self.stride
        o_t, o_h, o_w = self.offset
        times = slice((o_t + start) // t, -(-(o_t + stop) // t))
        return fields[:, times, o_h // h : -(-(o_h + height) // h), o_w // w : -(-(o_w + width) // w)]

    def expand(self, cells: Tensor, start: int, stop: int) -> Tensor:
        """Gives each pixel of the frames [start, stop) the values of its cell: (N, t, h, w, O) -> (N, stop - start, H, W, O)."""
        if self.stride == (1, 1, 1):
            return cells
        firsts, counts = (start, 0, 0), (stop - start, *self.size[1:])
        for axis, (first, count, offset, step) in enumerate(zip(firsts, counts, self.offset, self.stride, strict=True)):
            pixels = torch.arange(offset + first, offset + first + count, device=cells.device)
            cells = cells.index_select(axis + 1, pixels // step - (offset + first) // step)
        return cells


def frames_at_once(placement: Placement, channels: int, batch: int, budget: int) -> int:
    """Number of frames whose float32 features of ``channels`` channels, with their autograd graph, fit in ``budget`` bytes."""
    _, height, width = placement.padded
    return max(1, budget // (batch * height * width * channels * 16))


def opening_inputs(net: RevSegNet, volume: Tensor, placement: Placement, start: int, stop: int) -> Tensor:
    """Returns the normalised frames [start, stop) of the padded volume, zero where there is no video: (N, t, H', W', I)."""
    (frames, height, width), (t, h, w) = placement.size, placement.offset
    dtype = net.opening.weight.dtype
    inputs = torch.zeros(len(volume), stop - start, *placement.padded[1:], volume.shape[1], dtype=dtype, device=net.device)
    first, last = max(start, t), min(stop, t + frames)
    if first < last:
        pixels = volume[:, :, first - t : last - t].to(net.device, non_blocking=True).movedim(1, -1)
        inputs[:, first - start : last - start, h : h + height, w : w + width] = normalise(pixels, dtype)
    return inputs


@torch.no_grad()
def opened(net: RevSegNet, volume: Tensor, placement: Placement, grid: Grid) -> Tensor:
    """Returns y = opening(volume), stored on the grid, (N, T', H', W', C), built a few frames at a time."""
    fields = torch.empty(len(volume), *placement.padded, net.config.channels, dtype=grid.dtype, device=net.device)
    for start, stop in frames_of_opening(net, volume, placement, grid=grid):
        fields[:, start:stop] = grid.store(net.opening(opening_inputs(net, volume, placement, start=start, stop=stop)))
    return fields


def frames_of_opening(net: RevSegNet, volume: Tensor, placement: Placement, grid: Grid) -> Iterator[tuple[int, int]]:
    """Yields the frames [start, stop) of the padded volume that are opened together: the same ones in every pass."""
    channels, frames = net.config.channels, placement.padded[0]
    voxels = len(volume) * frames * placement.padded[1] * placement.padded[2]
    budget = net.sequence.slab_budget(voxels * channels * grid.dtype.itemsize, net.device)
    count = frames_at_once(placement, channels=channels + volume.shape[1], batch=len(volume), budget=budget)
    for start in range(0, frames, count):
        yield start, min(start + count, frames)


def features(net: RevSegNet, state: State, volume: Tensor, placement: Placement, start: int, stop: int) -> Tensor:
    """Returns the head's input for the cells of the video's frames [start, stop): values (N, t, h, w, 2C), then any evidence."""
    dtype = net.opening.weight.dtype
    parts = list(state.values(dtype, lambda fields: placement.crop(fields, start, stop)))
    if net.config.evidence:
        evidence = volume[:, net.config.video_channels :, start:stop]
        parts.append(normalise(evidence.to(net.device, non_blocking=True).movedim(1, -1), dtype))
    return torch.cat(parts, -1)
