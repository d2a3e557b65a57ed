"""Probabilities of a whole video, a few frames at a time: two states are in memory, never the logits of a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from revseg.network.network import RevSegNet, check_volume
from revseg.network.opening import opened
from revseg.network.volume import Part, Placement, features, frames_at_once
from revseg.network.windows import weights_of, windows_of
from revseg.reversible.grid import Grid
from revseg.reversible.shard import Shard
from revseg.reversible.state import State

Offset = tuple[int, int, int]
At = Callable[[RevSegNet, Tensor, Offset], Iterator[tuple[int, Tensor]]]
Predict = Callable[..., Iterator[tuple[int, Tensor]]]
"""``predict_probabilities``, or another way to the same."""


@torch.no_grad()
def predict_probabilities(
    net: RevSegNet,
    volume: Tensor,
    offsets: Sequence[Offset] = ((0, 0, 0),),
    *,
    window: int | None = None,
    total: Tensor | None = None,
    at: At | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Softmax probabilities of a video (I, T, H, W), averaged over placements on the padded grid.

    window: how many frames the network sees at a time; None: all. at: what finds them at one placement; None:
    ``probabilities_at``.
    Yields (first frame, (O, t, H, W) float32) in order. With several offsets or windows the running sum of all frames is kept:
    in total, (O, T, H, W) float16, all 0; None: in the memory of the device.
    """
    at = at or probabilities_at
    windows = windows_of(volume.shape[1], window)
    if len(offsets) == len(windows) == 1:
        yield from at(net, volume, offsets[0])
        return
    _, frames, height, width = volume.shape
    if total is None:
        total = torch.zeros(net.config.outputs, frames, height, width, dtype=torch.float16, device=net.device)
    for own, weights in zip(windows, weights_of(windows), strict=True):
        for offset in offsets:
            for start, part in at(net, volume[:, own.start : own.stop], offset):
                stop = start + part.shape[1]
                share = weights[start:stop].to(part.device) / len(offsets)
                total[:, own.start + start : own.start + stop] += part * share[:, None, None]
    count = max(1, net.sequence.slab_budget(total.nbytes, net.device) // (total[:, 0].numel() * 16))
    for start in range(0, frames, count):
        yield start, total[:, start : start + count].float()


def is_summed(frames: int, placements: int, window: int | None) -> bool:
    """Whether the probabilities of all frames are kept until the last pass, as a sum."""
    return placements > 1 or len(windows_of(frames, window)) > 1


def spread_placements(multiple: tuple[int, int, int], count: int) -> list[Offset]:
    """``count`` placements spread over the grid's phases: (0, 0, 0), then a Kronecker sequence of low discrepancy in 3D."""
    plastic = 1.2207440846057596  # root of x^4 = x + 1; Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018
    fractions = [plastic ** -(axis + 1) for axis in range(3)]
    t, h, w = ([int(m * ((i * f) % 1.0)) for i in range(count)] for m, f in zip(multiple, fractions, strict=True))
    return list(zip(t, h, w, strict=True))


@torch.no_grad()
def probabilities_at(
    net: RevSegNet, volume: Tensor, offset: Offset = (0, 0, 0), part: Part | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Softmax probabilities of a video (I, T, H, W) at one placement on the padded grid.

    part: what this process holds of a video that several hold together: the volume has the frames ``part.seen``, and those are
    yielded. All processes go through it together.
    Yields (first frame, (O, t, H, W) float32) in order.
    """
    batch = volume[None]
    check_volume(batch, net.config.inputs)
    placement = Placement.of(net, batch, offset, part=part)
    own_dtypes = torch.autocast(net.device.type, enabled=False)
    with own_dtypes:
        state = _last_state(net, batch, placement, shard=None if part is None else part.shard)
    channels = net.features + net.config.outputs
    count = frames_at_once(placement, channels=channels, batch=1, budget=net.sequence.slab_budget(state.curr.nbytes, net.device))
    seen = placement.seen
    for start in range(seen.start, seen.stop, count):
        stop = min(start + count, seen.stop)
        with own_dtypes:  # not around the yield, where it would reach into the caller's code
            cells = net.head(features(net, state, batch, placement=placement, start=start, stop=stop)).softmax(-1)
            found = placement.expand(cells, start, stop)[0].movedim(-1, 0)
        yield start, found


def _last_state(net: RevSegNet, batch: Tensor, placement: Placement, *, shard: Shard | None) -> State:
    """Returns the state after all blocks; runs them again in wider containers where it left the range of the network's own."""
    grid = net.sequence.grid
    try:
        return _run(net, batch, placement, grid=grid, shard=shard)
    except OverflowError:
        if grid.wider is None:
            raise
    return _run(
        net, batch, placement, grid=grid.wider, shard=shard
    )  # after the except block: the error keeps the overflowed state


def _run(net: RevSegNet, batch: Tensor, placement: Placement, *, grid: Grid, shard: Shard | None) -> State:
    field = opened(net, batch, placement, grid=grid)
    run = net.sequence.begin(field.nbytes, device=field.device, shard=shard)
    state = run.open_(field, grid)
    del field  # the state owns it, or a copy
    run.forward_(state, net.sequence.detached(), start=run.leading)
    return state
