"""The opening: a linear map from the pixels of a video to the field that the reversible sequence starts from.

    y = store(W x + b),     x = (pixel - mean) / deviation, 0 where there is no video

A few frames at a time. Where a CPU's kernels are compiled, a byte is read once (``revseg.reversible.kernels.native``); elsewhere
PyTorch computes, with the same result but for rounding before the grid.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from revseg.network.network import PIXEL_MEAN, PIXEL_STD, RevSegNet, normalise
from revseg.network.volume import Placement, frames_at_once
from revseg.reversible.grid import Grid
from revseg.reversible.kernels.native import opening as native


@torch.no_grad()
def opened(net: RevSegNet, volume: Tensor, placement: Placement, grid: Grid) -> Tensor:
    """Returns y = opening(volume), stored on the grid, (N, T', H', W', C), built a few frames at a time."""
    fields = torch.empty(
        len(volume), placement.frames, *placement.padded[1:], net.config.channels, dtype=grid.dtype, device=net.device
    )
    for start, stop in frames_of_opening(net, volume, placement, grid=grid):
        fields[:, start:stop] = opened_frames(net, volume, placement, start=start, stop=stop, grid=grid)
    return fields


@torch.no_grad()
def opened_frames(net: RevSegNet, volume: Tensor, placement: Placement, *, start: int, stop: int, grid: Grid) -> Tensor:
    """The same of the frames [start, stop) of those held here."""
    size = len(volume), stop - start, *placement.padded[1:], net.config.channels
    if grid.exact and net.device.type == "cpu":
        # The same integers, whatever holds them.
        fields = torch.empty(size, dtype=torch.int16 if grid.dtype == torch.int16 else torch.float32)
        if _compiled(net, volume, fields):
            weight, bias = (part.detach().double() for part in (net.opening.weight, net.opening.bias))
            of_bytes = weight / PIXEL_STD, bias - weight.sum(1) * (PIXEL_MEAN / PIXEL_STD)
            units = {"weight": of_bytes[0] / grid.unit, "bias": of_bytes[1] / grid.unit, "empty": grid.store(net.opening.bias)}
            for planes, field in zip(volume, fields, strict=True):
                native.open_(field, planes, _offset(placement, start), **units)
            return fields if fields.dtype == grid.dtype else grid.saturate_(fields).to(grid.dtype)
    return grid.store(_of(net, _inputs(net, volume, placement, start=start, stop=stop)))


@torch.no_grad()
def gradient_of_opening(
    net: RevSegNet, volume: Tensor, placement: Placement, *, gradient: Tensor, start: int
) -> tuple[Tensor, Tensor]:
    """Returns d(loss)/dW, (C, I), and d(loss)/db, (C,), of some frames. gradient: d(loss)/dy, (N, t, H', W', C), of those from
    ``start`` on. The opening is linear: they are written out, without a graph."""
    dtype = net.opening.weight.dtype
    if _compiled(net, volume, gradient):
        offset = _offset(placement, start)
        sums = [native.gradient_of(field, planes, offset) for planes, field in zip(volume, gradient, strict=True)]
        weights = torch.stack([(one.products - PIXEL_MEAN * one.inside[:, None]) / PIXEL_STD for one in sums])
        return weights.sum(0).to(dtype), torch.stack([one.everywhere for one in sums]).sum(0).to(dtype)
    part = gradient.to(dtype)
    inputs = _inputs(net, volume, placement, start=start, stop=start + part.shape[1])
    return torch.bmm(inputs.flatten(2), part.flatten(1, -2)).sum(0).t(), part.sum((0, 1, 2, 3))


def _compiled(net: RevSegNet, volume: Tensor, fields: Tensor) -> bool:
    """Whether it is left to what is compiled: bytes in, weights of 32 bits."""
    pairs = zip(volume, fields, strict=True)
    return net.opening.weight.dtype == torch.float32 and all(native.opens(planes, field) for planes, field in pairs)


def _offset(placement: Placement, start: int) -> tuple[int, int, int]:
    """Where the video lies in the padded frames from ``start`` on, of those held here."""
    return _first(placement) - start, *placement.offset[1:]


def _first(placement: Placement) -> int:
    """The first frame held here that has video."""
    return placement.seen.start + placement.offset[0] - placement.own[0]


def frames_of_opening(net: RevSegNet, volume: Tensor, placement: Placement, grid: Grid) -> Iterator[tuple[int, int]]:
    """Yields those of its frames [start, stop) that a process opens together: the same ones in every pass."""
    channels, frames = net.config.channels, placement.frames
    voxels = len(volume) * frames * placement.padded[1] * placement.padded[2]
    budget = net.sequence.slab_budget(voxels * channels * grid.dtype.itemsize, net.device)
    count = frames_at_once(placement, channels=channels + volume.shape[1], batch=len(volume), budget=budget)
    for start in range(0, frames, count):
        yield start, min(start + count, frames)


def _inputs(net: RevSegNet, volume: Tensor, placement: Placement, start: int, stop: int) -> Tensor:
    """Returns the normalised frames [start, stop) of those held here, zero where there is no video: (N, I, t, H', W').

    Plane by plane, as the video is: on a CPU six times as fast as channel by channel.
    """
    (_, height, width), (_, h, w) = placement.size, placement.offset
    frames, t = len(placement.seen), _first(placement)
    dtype = net.opening.weight.dtype
    inputs = torch.zeros(*volume.shape[:2], stop - start, *placement.padded[1:], dtype=dtype, device=net.device)
    first, last = max(start, t), min(stop, t + frames)
    if first < last:
        pixels = volume[:, :, first - t : last - t].to(net.device, non_blocking=True)
        inputs[:, :, first - start : last - start, h : h + height, w : w + width] = normalise(pixels, dtype)
    return inputs


def _of(net: RevSegNet, inputs: Tensor) -> Tensor:
    """Returns opening(inputs): (N, I, t, H', W') -> (N, t, H', W', C), a view."""
    count, size = len(inputs), inputs.shape[2:]
    weight, bias = (part.expand(count, *part.shape) for part in (net.opening.weight, net.opening.bias[:, None]))
    return torch.baddbmm(bias, weight, inputs.flatten(2)).unflatten(2, size).movedim(1, -1)
