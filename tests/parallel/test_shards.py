"""Processes that hold one volume together: the core, on fields, against the same sequence on the whole volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from revseg.parallel.group import joined
from revseg.parallel.volume import Volume
from revseg.reversible.block import Coarsen
from revseg.reversible.grid import Grid
from revseg.reversible.sequence import ReversibleSequence
from revseg.reversible.state import State
from tests.parallel.processes import start
from tests.reversible.sequences import build, layers_of

pytestmark = pytest.mark.slow

INT16 = Grid(torch.int16, 6)


def bounds(frames: list[int], shard: Volume) -> slice:
    return slice(sum(frames[: shard.index]), sum(frames[: shard.index + 1]))


def channels_of(sequence: ReversibleSequence) -> int:
    """Channels at level 0 of a sequence with one level of coarsening."""
    first = sequence.blocks[0]
    channels: int = layers_of(sequence)[0].channels
    return channels // 8 if isinstance(first, Coarsen) else channels


def starting(frames: list[int], channels: int, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    prev, curr = torch.randn(2, 2, channels, sum(frames), 8, 12, generator=generator, dtype=torch.float64).unbind()
    return (prev, curr) if grid.dtype == torch.float64 else (prev.float(), curr.float())


def passes(
    sequence: ReversibleSequence, pair: tuple[torch.Tensor, torch.Tensor], shard: Volume | None, at: slice, keep: bool
) -> tuple[State, State, State, list[Any]]:
    """The state at the end and after the way back, the adjoint after it, and the gradients of the operands."""
    prev, curr = (part[:, :, at] for part in pair)
    state = State.from_pair(prev, curr, sequence.grid)
    run = sequence.begin(state.curr.nbytes, device=curr.device, keep_hidden=keep, shard=shard)
    operands = sequence.detached()
    run.forward_(state, operands)
    end = State(state.partner.clone(), state.curr.clone(), state.grid)
    values = [part.to(pair[0].dtype) for part in end.pair()]
    # A loss of both fields, position by position: sin of the values.
    adjoint = run.adjoint_of(state.curr, tuple(value.cos() for value in values))
    gradients = run.adjoint_(state, adjoint, operands)
    return end, state, adjoint, gradients


def check_float(sequence: ReversibleSequence, shard: Volume, frames: list[int], keep: bool) -> None:
    """In float64 all is equal but for the order of sums."""
    channels = channels_of(sequence)
    pair, at = starting(frames, channels, sequence.grid), bounds(frames, shard)  # type: ignore[arg-type]
    whole, own = (passes(sequence, pair, None, slice(None), keep), passes(sequence, pair, shard, at, keep))
    for expected, found in zip(whole[:3], own[:3], strict=True):
        for one, other in zip(expected.pair(), found.pair(), strict=True):
            torch.testing.assert_close(other, one[:, :, at], rtol=1e-10, atol=1e-10)
    for expected, found in zip(whole[3], own[3], strict=True):
        for one, other in zip(expected, found, strict=True):
            total = other.clone()
            shard.sum_(total)
            torch.testing.assert_close(total, one, rtol=1e-9, atol=1e-9)


def check_exact(sequence: ReversibleSequence, shard: Volume, frames: list[int], keep: bool) -> None:
    """The way back ends at the bits that it began with; forward differs from the whole volume's by a rounding at most."""
    channels = channels_of(sequence)
    pair, at = starting(frames, channels, sequence.grid), bounds(frames, shard)  # type: ignore[arg-type]
    begun = State.from_pair(*(part[:, :, at] for part in pair), sequence.grid)
    end, back, _, _ = passes(sequence, pair, shard, at, keep)
    assert torch.equal(back.partner, begun.partner)
    assert torch.equal(back.curr, begun.curr)
    assert not torch.equal(end.curr, begun.curr)
    inverted = State(end.partner.clone(), end.curr.clone(), end.grid)
    run = sequence.begin(inverted.curr.nbytes, device=inverted.curr.device, shard=shard)
    run.inverse_(inverted, sequence.detached())
    assert torch.equal(inverted.partner, begun.partner)
    assert torch.equal(inverted.curr, begun.curr)
    expected, *_ = passes(sequence, pair, None, slice(None), keep)
    apart = (end.curr.double() - expected.curr[:, at].double()).abs()
    assert apart.max() <= 4, "grid units: sums in another order are rounded to the other side now and then"
    assert (apart > 0).double().mean() < 0.01


def fields(rank: int, folder: Path, frames: list[int]) -> None:
    """Frames of each rank, multiples of 2: one level of coarsening."""
    with joined() as group:
        group.connect(torch.device("cpu"))
        group.share_volumes(len(frames))
        shard = group.volume
        assert shard is not None
        check_float(build((1, 2)), shard, frames, True)
        check_float(build((1, 1), slab_bytes=60_000), shard, frames, False)  # slabs along T
        check_float(build((1, 1), slab_bytes=9_000), shard, frames, True)  # along T and H
        # 128 channels at the coarse level: products.
        check_float(build((0, 1), channels=16, rank=2, slab_bytes=60_000), shard, frames, False)
        if min(frames) >= 4:  # K of 5 frames reaches two: as many as a rank has at the coarse level
            check_float(build((1, 1), size=5), shard, frames, False)
            check_float(build((0, 1), size=5, channels=16, rank=2), shard, frames, True)
        check_exact(build((1, 1), grid=Grid(torch.float32, 12), convolution=torch.float32), shard, frames, True)
        check_exact(build((1, 1), grid=INT16, convolution=torch.bfloat16, slab_bytes=30_000), shard, frames, False)
        check_exact(build((0, 1), grid=INT16, channels=16, rank=2, convolution=torch.bfloat16), shard, frames, True)


@pytest.mark.parametrize("frames", [[6, 4], [2, 2, 2], [4, 6, 4, 10]])
def test_shards_equal_the_whole_volume(frames: list[int], tmp_path: Path) -> None:
    """Unequal shards, one coarse frame each, a batch of two."""
    started = start(tmp_path, len(frames), fields, frames)
    assert started.statuses() == [0] * len(frames), started.told()
