"""Places the real video in the padded volume, and moves pixels and features between the two.

Where several processes hold a volume together, each has some of its frames, and those of the video that lie there.
The video may lie on the network's device or on the host: it is copied a few frames at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.network.config import NetworkConfig
from revseg.network.network import RevSegNet, normalise
from revseg.network.plan import check_shards, multiple_of, output_stride, padded_size
from revseg.reversible.shard import Shard
from revseg.reversible.state import State


@dataclass(frozen=True)
class Part:
    """What a process holds of a video that several processes hold together."""

    frames: int
    """How many the whole video has."""
    shard: Shard
    """Its place among them."""

    def seen(self, config: NetworkConfig, offset: int) -> range:
        """Returns the frames of the video that it holds; offset: of the video in the padded volume along T."""
        return self.seen_by(config, offset, self.shard.index)

    def seen_by(self, config: NetworkConfig, offset: int, index: int) -> range:
        """Returns the frames of the video that the process with this place holds."""
        padded = padded_size(config, (self.frames, 1, 1), (offset, 0, 0))[0]
        first, last = shard_of(config, padded, index=index, count=self.shard.count)
        return range(max(0, first - offset), min(self.frames, last - offset))


def shard_of(config: NetworkConfig, padded: int, *, index: int, count: int) -> tuple[int, int]:
    """Returns the frames [first, last) of a padded volume that one of ``count`` shards holds: whole ones of the coarsest level,
    about as many as others. Raises ValueError where there are too few.
    """
    check_shards(config, padded, count)
    multiple = multiple_of(config)[0]
    cells = padded // multiple
    return cells * index // count * multiple, cells * (index + 1) // count * multiple


@dataclass(frozen=True)
class Placement:
    """A video of ``size`` (T, H, W) at ``offset`` in a padded volume of size ``padded``."""

    size: tuple[int, int, int]
    offset: tuple[int, int, int]
    padded: tuple[int, int, int]
    stride: tuple[int, int, int] = (1, 1, 1)
    """Pixels along each axis of a cell that the head sees."""
    own: tuple[int, int] = (0, 0)
    """Frames [first, last) of the padded volume that this process holds."""

    @classmethod
    def of(cls, net: RevSegNet, volume: Tensor, offset: tuple[int, int, int], part: Part | None = None) -> Placement:
        """Returns the placement of a volume (N, I, T, H, W), which has the frames of a part alone where one is given.

        Raises ValueError where these are others than the part has.
        """
        frames, height, width = volume.shape[2:]
        size = (frames if part is None else part.frames, height, width)
        padded = padded_size(net.config, size, offset)
        own = (0, padded[0]) if part is None else shard_of(net.config, padded[0], index=part.shard.index, count=part.shard.count)
        found = cls(size, offset, padded, stride=output_stride(net.config), own=own)
        if frames != len(found.seen):
            raise ValueError(
                f"the volume has {frames} frames, but the part of this process has {len(found.seen)} of the video's "
                f"{size[0]}, from {found.seen.start} on"
            )
        return found

    @property
    def frames(self) -> int:
        """Number of padded frames that this process holds."""
        return self.own[1] - self.own[0]

    @property
    def seen(self) -> range:
        """The video's frames that lie there."""
        return range(max(0, self.own[0] - self.offset[0]), min(self.size[0], self.own[1] - self.offset[0]))

    def crop(self, fields: Tensor, start: int, stop: int) -> Tensor:
        """Returns a view of the cells that hold the video's frames [start, stop): (N, T', H', W', C) -> (N, t, h, w, C)."""
        (_, height, width), (t, h, w) = self.size, self.stride
        o_t, o_h, o_w = self.offset[0] - self.own[0], *self.offset[1:]
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


def features(net: RevSegNet, state: State, volume: Tensor, placement: Placement, start: int, stop: int) -> Tensor:
    """Returns the head's input for the cells of the video's frames [start, stop): values (N, t, h, w, 2C), then any evidence."""
    dtype = net.opening.weight.dtype
    parts = list(state.values(dtype, lambda fields: placement.crop(fields, start, stop)))
    if net.config.evidence:
        first = placement.seen.start
        evidence = volume[:, net.config.video_channels :, start - first : stop - first]
        parts.append(normalise(evidence.to(net.device, non_blocking=True).movedim(1, -1), dtype))
    return torch.cat(parts, -1)
