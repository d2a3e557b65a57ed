"""Blocks: inverted bit for bit, the adjoint is the transposed Jacobian, slabs change nothing."""

import pytest
import torch

from revseg.reversible.block import Coarsen, Leapfrog, Refine, State
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import PreparedLayer
from revseg.reversible.slab import slabs
from revseg.reversible.wide import WideLayer
from tests.plain_network import force

SHAPE = (2, 6, 12, 6, 3)  # N, T, H, W, C
RANK = 4
# Frames and rows of each slab: the whole field, some frames, some rows of all frames, a few rows of a few frames.
TILINGS = {"whole": (6, 12), "frames": (3, 12), "rows": (6, 5), "both": (4, 5)}
BUDGET = 0  # not looked at: the tiling is given
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
    return State(*fields, grid)


def copy(pair):
    return State(pair.prev.clone(), pair.curr.clone(), pair.grid)


def equal(a, b):
    return torch.equal(a.prev, b.prev) and torch.equal(a.curr, b.curr)


def batch(field):
    return field.permute(0, 4, 1, 2, 3)


@pytest.fixture(params=TILINGS)
def tiling(request, monkeypatch):
    monkeypatch.setattr("revseg.reversible.slab.slab_size", lambda *_, **__: TILINGS[request.param])
    return request.param


def test_tilings_split_as_named(tiling):
    parts = list(slabs(SHAPE[1:], 1, 100, BUDGET))
    assert all(part.splits_time == (tiling in ("frames", "both")) for part in parts)
    assert all(part.splits_height == (tiling in ("rows", "both")) for part in parts)
    assert len(parts) == {"whole": 1, "frames": 2, "rows": 3, "both": 6}[tiling]


@KINDS
@SIZES
@pytest.mark.usefixtures("tiling")
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_leapfrog_is_inverted_bit_for_bit(kind, container, convolution, size):
    grid = Grid(container, DEFAULT_BITS[container])
    layer, block = prepared(kind, size, grid, convolution), Leapfrog(0)
    start = state(grid)
    current = copy(start)
    block.forward_(current, layer, BUDGET)
    assert torch.equal(current.prev, start.curr)
    assert not torch.equal(current.curr, start.curr)
    block.inverse_(current, layer, BUDGET)
    assert equal(current, start)


@KINDS
@SIZES
@pytest.mark.usefixtures("tiling")
def test_leapfrog_equals_its_equation(kind, size):
    """next = 2 curr - prev - h^2 K^T relu(K curr + b), with the layer in plain PyTorch."""
    start, current = state(DOUBLE), state(DOUBLE)
    Leapfrog(0).forward_(current, prepared(kind, size, DOUBLE), BUDGET)
    expected = 2 * start.curr - start.prev - force(batch(start.curr), *weights(size), 0.8).permute(0, 2, 3, 4, 1)
    assert torch.allclose(current.curr, expected, rtol=0, atol=1e-12)


@KINDS
@SIZES
@pytest.mark.usefixtures("tiling")
def test_leapfrog_adjoint_is_the_transposed_jacobian(kind, size):
    """Gradients of <g, (curr, next)> against autograd on the equation; and the state is undone on the way."""
    kernel, bias = (part.requires_grad_() for part in weights(size))
    start = state(DOUBLE)
    prev, curr = start.prev.clone().requires_grad_(), start.curr.clone().requires_grad_()
    following = 2 * curr - prev - _force_at(curr, kernel, bias)
    g_prev, g_curr = torch.randn(2, *SHAPE, dtype=torch.float64)
    loss = (g_prev * curr).sum() + (g_curr * following).sum()
    expected = torch.autograd.grad(loss, (prev, curr, kernel, bias))

    block, layer = Leapfrog(0), prepared(kind, size, DOUBLE)
    current, adjoint = copy(start), State(-g_prev, g_curr.clone(), DOUBLE)
    block.forward_(current, layer, BUDGET)
    gradients = block.adjoint_(current, adjoint, layer, BUDGET)
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
@pytest.mark.usefixtures("tiling")
def test_leapfrog_adjoint_recovers_the_state_bit_for_bit(kind, container, convolution):
    grid = Grid(container, DEFAULT_BITS[container])
    layer, block = prepared(kind, 3, grid, convolution), Leapfrog(0)
    start = state(grid)
    current, adjoint = copy(start), state(Grid(torch.float32, None), 2)
    block.forward_(current, layer, BUDGET)
    block.adjoint_(current, adjoint, layer, BUDGET)
    assert equal(current, start)


@KINDS
@pytest.mark.parametrize("container", [torch.float32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@pytest.mark.usefixtures("tiling")
def test_kept_hidden_activations_change_no_bit(kind, container, convolution):
    """Of each sample its own; both layers have channels for it."""
    grid, width = Grid(container, DEFAULT_BITS[container]), 2 * RANK
    kernel = torch.randn(RANK, width, 3, 3, 3, generator=torch.Generator().manual_seed(3)) / (27 * width) ** 0.5
    layer, block = kind(kernel, weights(3)[1].float(), 0.8, grid.unit, convolution), Leapfrog(0)
    start, results = state(grid, shape=(*SHAPE[:-1], width)), []
    for keep in (None, []):
        current, adjoint = copy(start), state(Grid(torch.float32, None), 2, (*SHAPE[:-1], width))
        block.forward_(current, layer, BUDGET, keep)
        final = copy(current)
        if keep is not None:
            assert len(keep) == SHAPE[0]
            assert all(part.amax() > 0 for sample in keep for part in sample)
        gradients = block.adjoint_(current, adjoint, layer, BUDGET, keep)
        assert equal(current, start)
        results.append((final.prev, final.curr, adjoint.prev, adjoint.curr, *gradients))
    assert all(map(torch.equal, *results))


@KINDS
@pytest.mark.usefixtures("tiling")
def test_a_sample_does_not_depend_on_the_rest_of_the_batch(kind):
    layer, block = prepared(kind, 3, DOUBLE), Leapfrog(0)
    both = state(DOUBLE)
    second = State(both.prev[1:].clone(), both.curr[1:].clone(), DOUBLE)
    block.forward_(both, layer, BUDGET)
    block.forward_(second, layer, BUDGET)
    assert torch.equal(both.curr[1:], second.curr)


@pytest.mark.parametrize("halve_time", [True, False])
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("kind", [Coarsen, Refine])
def test_changes_of_level_are_inverted_bit_for_bit(kind, container, halve_time):
    grid = Grid(container, DEFAULT_BITS[container])
    start = state(grid, shape=(2, 4, 6, 4, 16))
    current = copy(start)
    kind(halve_time).forward_(current, 1)
    factor = {(Coarsen, True): 8, (Coarsen, False): 4, (Refine, True): 1 / 8, (Refine, False): 1 / 4}[kind, halve_time]
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
