"""Layers on wide fields: matrix products agree with the convolutions and cost eight units, without a halo."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from revseg.reversible.activation import ACTIVATIONS
from revseg.reversible.force.convolution import ConvolutionForce
from revseg.reversible.force.product import ProductForce, is_wide, product
from revseg.reversible.grid import Grid
from revseg.reversible.state import State
from tests.reversible.force.forces import DOUBLE, fields, layout_of, passes, weights
from tests.reversible.sequences import begun, build, exact, layers_of, start

pytestmark = pytest.mark.slow

TOLERANCE = {torch.bfloat16: 5e-2, torch.float32: 1e-5, torch.float64: 1e-12}
RANK = 2


def prepared(kind, channels, size, grid, dtype, activation="relu"):
    kernel, bias = weights(RANK, channels, size, seed=3)
    kernel = kernel * 2 * math.prod(size) ** 0.5  # hidden activations much larger than the bias, of either sign
    wide = torch.promote_types(dtype, torch.float32)
    layout = layout_of(kernel, dtype=dtype, grid=grid, activation=activation)
    return kind(kernel.to(wide), bias.to(wide), 0.7, layout)


@pytest.mark.parametrize("budget", [1, 200_000, 1 << 30])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 3, 3), (5, 5, 5), (1, 3, 3), (3, 1, 5)])
@pytest.mark.parametrize(
    ("channels", "dtype"),
    [(16, torch.float64), (16, torch.float32), (256, torch.float32), (256, torch.bfloat16)],
)
def test_kick_and_adjoint_agree_with_the_convolutions(channels, dtype, size, budget):
    floating = Grid(torch.promote_types(dtype, torch.float32), None)
    begin = fields(channels, shape=(4, 6), frames=4)
    wide = passes(
        prepared(ProductForce, channels, size, floating, dtype),
        [part.to(floating.dtype) for part in begin],
        floating,
        budget=budget,
    )
    reference = passes(prepared(ConvolutionForce, channels, size, DOUBLE, torch.float64), begin, DOUBLE, budget=budget)
    assert (wide[1] - begin[0]).abs().max() < 1e-4  # undone
    assert torch.equal(wide[2], begin[1].to(floating.dtype))
    assert torch.equal(wide[4], begin[3].to(floating.dtype))
    for got, expected in zip(wide, reference, strict=True):
        assert got.shape == expected.shape
        assert (got - expected).norm() <= TOLERANCE[dtype] * expected.norm()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bits", [3, 12])
def test_uses_of_the_unit_agree_with_the_convolutions(bits, activation):
    """On grids: kicks, what they reach, adjoints and gradients, in units of 1/8 and of 2^-12."""
    grid, results = Grid(torch.float32, bits), []
    begin = fields(16, grid, shape=(4, 6))
    for kind in (ProductForce, ConvolutionForce):
        results.append(passes(prepared(kind, 16, (3, 3, 3), grid, torch.float64, activation), begin, grid))
    assert len(results[0]) == 8
    for got, expected in zip(*results, strict=True):
        assert got.shape == expected.shape
        assert (got - expected).norm() <= 1e-6 * expected.norm()  # adjoints are float32


def test_the_rule_looks_at_the_shape_alone():
    assert is_wide(1024, 16)
    assert is_wide(256, 4)
    assert not is_wide(255, 4)
    assert is_wide(1024, 512)
    assert not is_wide(1023, 512)


@pytest.mark.parametrize(("channels", "kept"), [(4, True), (3, False)])
def test_hidden_activations_are_kept_where_channels_are_twice_the_rank(channels, kept):
    """As the forecast counts them: above 512 a rank may be wide and more than half the channels."""
    results = []
    for keep in ([], None):
        made = prepared(ProductForce, channels, (3, 3, 3), DOUBLE, torch.float64)
        results.append(passes(made, fields(channels), DOUBLE, keep, budget=1))
        assert keep is None or len(keep[0]) == kept
    assert all(map(torch.equal, *results))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (70, 33, 5), (5, 2000, 54)])
def test_products_are_those_of_matrices(shape, dtype):
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(size, generator=generator).to(dtype) for size in ((rows, inner), (inner, columns)))
    expected = one.double() @ other.double()
    got = product(one, other)
    assert got.dtype == dtype
    assert (got.double() - expected).norm() <= 4 * torch.finfo(dtype).eps * expected.norm() * max(1, inner**0.5 / 4)


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("slab_bytes", [1, 1 << 30])
def test_wide_blocks_are_inverted_bit_for_bit(slab_bytes, convolution, container):
    sequence = build((0, 0, 6), rank=RANK, grid=exact(container), convolution=convolution, slab_bytes=slab_bytes)
    assert all(is_wide(layer.channels, layer.rank) for layer in layers_of(sequence))
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
        state = State.from_pair(*start(sequence, shape), sequence.grid)
        adjoint = State.from_pair(*start(sequence, shape), sequence.grid)
        run, operands = begun(sequence, state.curr), sequence.detached()
        with FlopCounterMode(display=False) as counter:
            run.forward_(state, operands)
            run.adjoint_(state, adjoint, operands)
        totals.append(counter.get_total_flops())
    unit = 2 * 27 * rank * math.prod(shape)  # one multiplication and one addition
    assert totals[1] - totals[0] == 2 * 8 * unit
