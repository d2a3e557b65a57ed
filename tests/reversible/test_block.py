"""Blocks: inverted bit for bit, the adjoint is the transposed Jacobian, slabs change nothing."""

import pytest
import torch

from revseg.reversible.block import Coarsen, Leapfrog, Pair, Refine
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import PreparedLayer, position_bytes
from revseg.reversible.slab import slabs
from revseg.reversible.wide import WideLayer
from tests.plain_network import force

SHAPE = (2, 6, 12, 6, 3)  # N, T, H, W, C
RANK = 4
WHOLE, FRAMES, ROWS = (
    1 << 30,
    50_000,
    1,
)  # slab budgets: the whole field, some frames, a few rows of one frame
BUDGETS = pytest.mark.parametrize("budget", [WHOLE, FRAMES, ROWS])
SIZES = pytest.mark.parametrize("size", [1, 3, 5])
KINDS = pytest.mark.parametrize("kind", [PreparedLayer, WideLayer])
DOUBLE = Grid(torch.float64, None)


def weights(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(RANK, SHAPE[-1], size, size, size, generator=generator, dtype=torch.float64)
    bias = torch.randn(RANK, generator=generator, dtype=torch.float64)
    return kernel / torch.linalg.svdvals(kernel.flatten(1))[0], bias


def prepared(kind, size, grid, dtype=torch.float64, step_size=0.8):
    kernel, bias = weights(size)
    kernel = kernel if dtype == torch.float64 else kernel.float()
    return kind(kernel, bias.to(kernel.dtype), step_size, grid.unit, dtype)


def state(grid, seed=1, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    fields = (grid.store(torch.randn(shape, generator=generator, dtype=torch.float64)) for _ in range(2))
    return Pair(*fields, grid)


def copy(pair):
    return Pair(pair.prev.clone(), pair.curr.clone(), pair.grid)


def equal(a, b):
    return torch.equal(a.prev, b.prev) and torch.equal(a.curr, b.curr)


def batch(field):
    return field.permute(0, 4, 1, 2, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_budgets_split_as_named(dtype):
    per_position = position_bytes(SHAPE[-1], RANK, dtype, torch.float32)
    parts = {budget: list(slabs(SHAPE[1:], 1, per_position, budget)) for budget in (WHOLE, FRAMES, ROWS)}
    assert len(parts[WHOLE]) == 1
    if dtype == torch.float32:
        assert len(parts[FRAMES]) > 1
        assert not parts[FRAMES][0].splits_height
    assert all(slab.splits_height for slab in parts[ROWS])


@KINDS
@SIZES
@BUDGETS
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_leapfrog_is_inverted_bit_for_bit(kind, container, convolution, budget, size):
    grid = Grid(container, DEFAULT_BITS[container])
    layer, block = prepared(kind, size, grid, convolution), Leapfrog(0)
    start = state(grid)
    current = copy(start)
    block.forward_(current, layer, budget)
    assert torch.equal(current.prev, start.curr)
    assert not torch.equal(current.curr, start.curr)
    block.inverse_(current, layer, budget)
    assert equal(current, start)


@KINDS
@SIZES
@BUDGETS
def test_leapfrog_equals_its_equation(kind, budget, size):
    """next = 2 curr - prev - h^2 K^T relu(K curr + b), with the layer in plain PyTorch."""
    start, current = state(DOUBLE), state(DOUBLE)
    Leapfrog(0).forward_(current, prepared(kind, size, DOUBLE), budget)
    expected = (
        2 * start.curr - start.prev - force(batch(start.curr), *weights(size), 0.8).permute(0, 2, 3, 4, 1)
    )
    assert torch.allclose(current.curr, expected, rtol=0, atol=1e-12)


@KINDS
@SIZES
@BUDGETS
def test_leapfrog_adjoint_is_the_transposed_jacobian(kind, budget, size):
    """Gradients of <g, (curr, next)> against autograd on the equation; and the state is undone on the way."""
    kernel, bias = (part.requires_grad_() for part in weights(size))
    start = state(DOUBLE)
    prev, curr = start.prev.clone().requires_grad_(), start.curr.clone().requires_grad_()
    following = 2 * curr - prev - _force_at(curr, kernel, bias)
    g_prev, g_curr = torch.randn(2, *SHAPE, dtype=torch.float64)
    loss = (g_prev * curr).sum() + (g_curr * following).sum()
    expected = torch.autograd.grad(loss, (prev, curr, kernel, bias))

    block, layer = Leapfrog(0), prepared(kind, size, DOUBLE)
    current, adjoint = copy(start), Pair(-g_prev, g_curr.clone(), DOUBLE)
    block.forward_(current, layer, budget)
    gradients = block.adjoint_(current, adjoint, layer, budget)
    for got, wanted in zip((-adjoint.prev, adjoint.curr, *gradients), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-11 * wanted.abs().max().item())
    assert torch.allclose(current.prev, start.prev, rtol=0, atol=1e-12)
    assert torch.equal(current.curr, start.curr)


def _force_at(curr, kernel, bias):
    """As tests.plain_network.force, without the normalisation: the kernel's norm is 1 and fixed here."""
    y, radius = batch(curr), kernel.shape[-1] // 2
    hidden = torch.nn.functional.conv3d(y, kernel, bias, padding=radius).relu()
    return 0.64 * torch.nn.functional.conv_transpose3d(hidden, kernel, padding=radius).permute(0, 2, 3, 4, 1)


@KINDS
@pytest.mark.parametrize("container", [torch.float32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@BUDGETS
def test_leapfrog_adjoint_recovers_the_state_bit_for_bit(kind, container, convolution, budget):
    grid = Grid(container, DEFAULT_BITS[container])
    layer, block = prepared(kind, 3, grid, convolution), Leapfrog(0)
    start = state(grid)
    current, adjoint = copy(start), state(Grid(torch.float32, None), 2)
    block.forward_(current, layer, budget)
    block.adjoint_(current, adjoint, layer, budget)
    assert equal(current, start)


@KINDS
@BUDGETS
def test_a_sample_does_not_depend_on_the_rest_of_the_batch(kind, budget):
    layer, block = prepared(kind, 3, DOUBLE), Leapfrog(0)
    both = state(DOUBLE)
    second = Pair(both.prev[1:].clone(), both.curr[1:].clone(), DOUBLE)
    block.forward_(both, layer, budget)
    block.forward_(second, layer, budget)
    assert torch.equal(both.curr[1:], second.curr)


@pytest.mark.parametrize("halve_time", [True, False])
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("kind", [Coarsen, Refine])
def test_changes_of_level_are_inverted_bit_for_bit(kind, container, halve_time):
    grid = Grid(container, DEFAULT_BITS[container])
    start = state(grid, shape=(2, 4, 6, 4, 16))
    current = copy(start)
    kind(halve_time).forward_(current, 1)
    factor = {(Coarsen, True): 8, (Coarsen, False): 4, (Refine, True): 1 / 8, (Refine, False): 1 / 4}[
        kind, halve_time
    ]
    assert current.curr.shape[-1] == 16 * factor
    kind(halve_time).inverse_(current, 1 << 20)
    assert equal(current, start)


@pytest.mark.parametrize("halve_time", [True, False])
@pytest.mark.parametrize("kind", [Coarsen, Refine])
def test_changes_of_level_have_the_adjoint_of_the_dot_product(kind, halve_time):
    x = state(DOUBLE, 3, (1, 4, 6, 4, 16))
    image = copy(x)
    kind(halve_time).forward_(image, 1 << 20)
    y = state(DOUBLE, 4, tuple(image.curr.shape))
    back = copy(y)
    kind(halve_time).adjoint_(back, 1 << 20)
    for axis in ("prev", "curr"):
        forth, other = (
            (getattr(image, axis) * getattr(y, axis)).sum(),
            (getattr(x, axis) * getattr(back, axis)).sum(),
        )
        assert torch.allclose(forth, other, rtol=1e-12)


def test_the_largest_magnitude_is_kept():
    grid = Grid(torch.float32, 12)
    pair = state(grid)
    pair.watch_fields_()
    first = pair.range
    assert first == max(pair.prev.abs().max(), pair.curr.abs().max())
    pair.curr.zero_()
    pair.watch_fields_()
    assert pair.range == first
    pair.curr[0, 0, 0, 0, 0] = float("nan")
    pair.watch_fields_()
    assert pair.range.isnan()
