"""Layers on wide fields: matrix products agree with the convolutions and cost eight units, without a halo."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from revseg.reversible.grid import Grid
from revseg.reversible.layer import PreparedLayer
from revseg.reversible.wide import WideLayer, is_wide
from tests.reversible.sequences import build, exact, loss_of, start

pytestmark = pytest.mark.slow

TOLERANCE = {torch.bfloat16: 5e-2, torch.float32: 1e-5, torch.float64: 1e-12}
RANK = 2


def fields(channels, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 4, 6, channels, generator=generator, dtype=torch.float64) for _ in range(count)]


def layers(channels, size, unit, dtype):
    generator = torch.Generator().manual_seed(1)
    kernel = torch.randn(RANK, channels, size, size, size, generator=generator, dtype=torch.float64)
    kernel, bias = kernel / channels**0.5, torch.randn(RANK, generator=generator, dtype=torch.float64)
    reference = PreparedLayer(kernel, bias, 0.7, unit, torch.float64)
    return WideLayer(kernel.to(torch.promote_types(dtype, torch.float32)), bias, 0.7, unit, dtype), reference


@pytest.mark.parametrize("budget", [1, 200_000, 1 << 30])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize(
    ("channels", "dtype"),
    [(16, torch.float64), (16, torch.float32), (256, torch.float32), (256, torch.bfloat16)],
)
def test_step_and_adjoint_agree_with_the_convolutions(channels, dtype, size, budget):
    """In units of 1/8 too, so that each use of the unit shows."""
    wide, reference = layers(channels, size, 0.125, dtype)
    state = Grid(torch.promote_types(dtype, torch.float32), None)
    adjoint = state
    start_prev, start_curr, u_prev, u_curr = fields(channels, 4)
    results = []
    for layer, grid in ((wide, state), (reference, Grid(torch.float64, None))):
        prev, curr, up, uc = (part.to(grid.dtype, copy=True) for part in (start_prev, start_curr, u_prev, u_curr))
        assert layer.step_(prev, curr, grid, budget) == []
        forward = prev.clone()
        gradients = layer.adjoint_(prev, curr, up, uc, grid, adjoint if layer is wide else grid, budget)
        assert (prev - start_prev).abs().max() < 1e-4  # undone
        assert torch.equal(curr, start_curr.to(grid.dtype))
        assert torch.equal(uc, u_curr.to(grid.dtype))
        results.append((forward, up, *gradients))
    for got, expected in zip(*results, strict=True):
        assert got.shape == expected.shape
        assert (got - expected).norm() <= TOLERANCE[dtype] * expected.norm()


def test_the_rule_looks_at_the_shape_alone():
    assert is_wide(1024, 16)
    assert is_wide(256, 4)
    assert not is_wide(255, 4)
    assert is_wide(1024, 512)
    assert not is_wide(1023, 512)


@pytest.mark.parametrize(("channels", "kept"), [(4, True), (3, False)])
def test_hidden_activations_are_kept_where_channels_are_twice_the_rank(channels, kept):
    """As the forecast counts them: above 512 a rank may be wide and more than half the channels."""
    layer, _ = layers(channels, 3, 1.0, torch.float64)
    grid, results = Grid(torch.float64, None), []
    for keep in ([], None):
        prev, curr, u_prev, u_curr = fields(channels, 4)
        layer.step_(prev, curr, grid, 1, keep)
        assert keep is None or len(keep) == kept
        gradients = layer.adjoint_(prev, curr, u_prev, u_curr, grid, grid, 1, keep)
        results.append((prev, curr, u_prev, u_curr, *gradients))
    assert all(map(torch.equal, *results))


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("slab_bytes", [1, 1 << 30])
def test_wide_blocks_are_inverted_bit_for_bit(slab_bytes, convolution, container):
    sequence = build((0, 0, 6), rank=RANK, grid=exact(container), convolution=convolution, slab_bytes=slab_bytes)
    assert all(is_wide(layer.kernel.shape[1], layer.kernel.shape[0]) for layer in sequence.layers)
    state = start(sequence, (2, 2, 4, 8, 12))
    with torch.no_grad():
        back = sequence.inverse(*sequence(*state))
    assert torch.equal(back[0], state[0])
    assert torch.equal(back[1], state[1])


@pytest.mark.parametrize("slab_bytes", [1, 1 << 30])
def test_floating_point_operations_are_those_of_eight_convolutions(slab_bytes):
    """With 27 taps, slabs or not. Two depths, because Haar transforms are matrix products too."""
    rank, shape, totals = RANK, (1, 2, 8, 8, 8), []
    for depth in (1, 3):
        sequence = build((0, 0, depth), rank=rank, slab_bytes=slab_bytes)
        assert is_wide(128, rank)
        parameters = sequence.parameters_of_layers()
        with pytest.MonkeyPatch.context() as patch, FlopCounterMode(display=False) as counter:
            patch.setattr(
                sequence,
                "parameters_of_layers",
                lambda parameters=parameters: [part.detach().requires_grad_() for part in parameters],
            )
            loss_of(*sequence(*start(sequence, shape))).backward()
        totals.append(counter.get_total_flops())
    unit = 2 * 27 * rank * math.prod(shape)  # one multiplication and one addition
    assert totals[1] - totals[0] == 2 * 8 * unit
