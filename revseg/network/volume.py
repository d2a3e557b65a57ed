"""Places the real video in the padded volume, and moves pixels and features between the two.

The video may lie on the network's device or on the host: it is copied a few frames at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.network.network import RevSegNet, normalise
from revseg.network.plan import padded_size
from revseg.reversible.block import State
from revseg.reversible.grid import Grid


@dataclass(frozen=True)
class Placement:
    """A video of ``size`` (T, H, W) at ``offset`` in a padded volume of size ``padded``."""

    size: tuple[int, int, int]
    offset: tuple[int, int, int]
    padded: tuple[int, int, int]

    @classmethod
    def of(cls, net: RevSegNet, volume: Tensor, offset: tuple[int, int, int]) -> Placement:
        """Returns the placement of a volume (N, I, T, H, W)."""
        frames, height, width = volume.shape[2:]
        size = (frames, height, width)
        return cls(size, offset, padded_size(net.config, size, offset))

    def crop(self, fields: Tensor, start: int, stop: int) -> Tensor:
        """Returns a view of the real pixels of the video's frames [start, stop): (N, T', H', W', C) -> (N, t, H, W, C)."""
        (t, h, w), (_, height, width) = self.offset, self.size
        return fields[:, t + start : t + stop, h : h + height, w : w + width]


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
def open_state(net: RevSegNet, volume: Tensor, placement: Placement, grid: Grid) -> State:
    """Returns state = (y, y), y = opening(volume), built a few frames at a time."""
    fields = torch.empty(len(volume), *placement.padded, net.config.channels, dtype=grid.dtype, device=net.device)
    count = frames_at_once(
        placement, channels=net.config.channels + volume.shape[1], batch=len(volume), budget=net.sequence.budget(fields)
    )
    for start in range(0, placement.padded[0], count):
        stop = min(start + count, placement.padded[0])
        fields[:, start:stop] = grid.store(net.opening(opening_inputs(net, volume, placement, start=start, stop=stop)))
    return State(fields, fields.clone(), grid)


def features(net: RevSegNet, state: State, volume: Tensor, placement: Placement, start: int, stop: int) -> Tensor:
    """Returns the head's input for the video's frames [start, stop): values (N, t, H, W, 2C), then any evidence."""
    dtype = net.head.weight.dtype
    parts = [state.grid.load(placement.crop(fields, start, stop), dtype) for fields in (state.prev, state.curr)]
    if net.config.evidence:
        evidence = volume[:, net.config.video_channels :, start:stop]
        parts.append(normalise(evidence.to(net.device, non_blocking=True).movedim(1, -1), dtype))
    return torch.cat(parts, -1)
