"""Blocks: inverted bit for bit, the adjoint is the transposed Jacobian, slabs change nothing."""

import itertools

import pytest
import torch

from revseg.reversible.block import Coarsen, Leapfrog, Refine
from revseg.reversible.context import Context
from revseg.reversible.force.slab import slabs
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.state import State
from tests.plain_network import force, norm_bound

SHAPE = (2, 6, 12, 6, 3)  # N, T, H, W, C
RANK = 4
# Frames and rows of each slab: the whole field, some frames, some rows of all frames, a few rows of a few frames.
TILINGS = {"whole": (6, 12), "frames": (3, 12), "rows": (6, 5), "both": (4, 5)}
SIZES = pytest.mark.parametrize("size", [(1, 1, 1), (3, 3, 3), (5, 5, 5), (1, 3, 3), (3, 5, 1)])
AXES = pytest.mark.parametrize("axes", [axes for axes in itertools.product((True, False), repeat=3) if any(axes)])
DOUBLE = Grid(torch.float64, None)
NEEDS = (True, True)


def weights(size, seed=0):
    """Of a norm of at most 1, so that the network of the equation leaves it alone."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(RANK, SHAPE[-1], *size, generator=generator, dtype=torch.float64)
    bias = torch.randn(RANK, generator=generator, dtype=torch.float64)
    return kernel / norm_bound(kernel), bias


def leapfrog(size=(3, 3, 3), channels=SHAPE[-1], step_size=0.8):
    return Leapfrog(SymmetricLayer(channels, RANK, size), step_size)


def operands(size, dtype=torch.float64):
    return tuple(part.to(torch.promote_types(dtype, torch.float32)) for part in weights(size))


def context(dtype=torch.float64, budget=0, **settings):
    """A budget is not looked at where the tiling is given."""
    return Context(convolution_dtype=dtype, adjoint_dtype=torch.promote_types(dtype, torch.float32), budget=budget, **settings)


def state(grid, seed=1, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    fields = (grid.store(torch.randn(shape, generator=generator, dtype=torch.float64)) for _ in range(2))
    return State(*fields, grid)


def copy(pair):
    return State(pair.partner.clone(), pair.curr.clone(), pair.grid)


def equal(a, b):
    return torch.equal(a.partner, b.partner) and torch.equal(a.curr, b.curr)


def batch(field):
    return field.permute(0, 4, 1, 2, 3)


@pytest.fixture(params=TILINGS)
def tiling(request, monkeypatch):
    monkeypatch.setattr("revseg.reversible.force.slab.slab_size", lambda *_, **__: TILINGS[request.param])
    return request.param


@pytest.fixture(params=["convolution", "product"])
def kind(request, monkeypatch):
    """How the layer is computed, whatever its shape."""
    monkeypatch.setattr("revseg.reversible.context.choose", lambda layout, device: request.param)
    return request.param


def test_tilings_split_as_named(tiling):
    parts = list(slabs(SHAPE[1:], (1, 1, 1), 100, 0))
    assert all(part.splits_time == (tiling in ("frames", "both")) for part in parts)
    assert all(part.splits_height == (tiling in ("rows", "both")) for part in parts)
    assert len(parts) == {"whole": 1, "frames": 2, "rows": 3, "both": 6}[tiling]


@SIZES
@pytest.mark.usefixtures("tiling", "kind")
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_leapfrog_is_inverted_bit_for_bit(container, convolution, size):
    grid = Grid(container, DEFAULT_BITS[container])
    block, layer = leapfrog(size), operands(size, convolution)
    start = state(grid)
    current = copy(start)
    block.forward_(current, layer, context(convolution))
    assert torch.equal(current.partner, start.curr)
    assert not torch.equal(current.curr, start.curr)
    block.inverse_(current, layer, context(convolution))
    assert equal(current, start)


@SIZES
@pytest.mark.usefixtures("tiling", "kind")
def test_leapfrog_equals_its_equation(size):
    """next = 2 curr - prev - h^2 K^T relu(K curr + b), with the layer in plain PyTorch."""
    start, current = state(DOUBLE), state(DOUBLE)
    leapfrog(size).forward_(current, operands(size), context())
    prev, curr = start.pair()
    expected = 2 * curr - prev - force(curr, *weights(size), 0.8)
    assert torch.allclose(current.pair()[0], curr, rtol=0, atol=1e-12)
    assert torch.allclose(current.pair()[1], expected, rtol=0, atol=1e-12)


@SIZES
@pytest.mark.usefixtures("tiling", "kind")
def test_leapfrog_adjoint_is_the_transposed_jacobian(size):
    """Gradients of <g, (curr, next)> against autograd on the equation; and the state is undone on the way."""
    kernel, bias = (part.requires_grad_() for part in weights(size))
    start = state(DOUBLE)
    prev, curr = (part.clone().requires_grad_() for part in start.pair())
    following = 2 * curr - prev - _force_at(curr, kernel, bias)
    g_prev, g_curr = torch.randn(2, *prev.shape, dtype=torch.float64)
    loss = (g_prev * curr).sum() + (g_curr * following).sum()
    expected = torch.autograd.grad(loss, (prev, curr, kernel, bias))

    block, current, adjoint = leapfrog(size), copy(start), State.from_pair(-g_prev, g_curr, DOUBLE)
    block.forward_(current, operands(size), context())
    gradients = block.adjoint_(current, adjoint, operands(size), context(), needs=NEEDS)
    u_prev, u_curr = adjoint.pair()
    for got, wanted in zip((-u_prev, u_curr, *gradients), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-11 * wanted.abs().max().item())
    assert torch.allclose(current.partner, start.partner, rtol=0, atol=1e-12)
    assert torch.allclose(current.curr, start.curr, rtol=0, atol=1e-12)


def _force_at(curr, kernel, bias):
    """As tests.plain_network.force, without the normalisation: the kernel's norm is fixed here."""
    padding = [extent // 2 for extent in kernel.shape[2:]]
    hidden = torch.nn.functional.conv3d(curr, kernel, bias, padding=padding).relu()
    return 0.64 * torch.nn.functional.conv_transpose3d(hidden, kernel, padding=padding)


@pytest.mark.parametrize("container", [torch.float32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@pytest.mark.usefixtures("tiling", "kind")
def test_adjoint_undoes_the_state_bit_for_bit(container, convolution):
    grid = Grid(container, DEFAULT_BITS[container])
    block, layer = leapfrog(), operands((3, 3, 3), convolution)
    start = state(grid)
    current, adjoint = copy(start), state(Grid(torch.float32, None), 2)
    block.forward_(current, layer, context(convolution))
    block.adjoint_(current, adjoint, layer, context(convolution), needs=NEEDS)
    assert equal(current, start)


@pytest.mark.parametrize("needs", [(True, False), (False, True), (False, False)])
@pytest.mark.usefixtures("tiling", "kind")
def test_gradients_that_are_not_needed_are_none_and_change_nothing_else(needs):
    block, layer, found = leapfrog(), operands((3, 3, 3)), []
    for some in (NEEDS, needs):
        current, adjoint = state(DOUBLE), state(DOUBLE, 2)
        block.forward_(current, layer, context())
        gradients = block.adjoint_(current, adjoint, layer, context(), needs=some)
        found.append((current, adjoint, gradients))
    (current, adjoint, whole), (other_state, other_adjoint, parts) = found
    assert equal(current, other_state)
    assert equal(adjoint, other_adjoint)
    for need, expected, part in zip(needs, whole, parts, strict=True):
        assert torch.equal(part, expected) if need else part is None


@pytest.mark.parametrize("container", [torch.float32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@pytest.mark.usefixtures("tiling", "kind")
def test_kept_hidden_activations_change_no_bit(container, convolution):
    """Of each sample its own; both kinds have channels for it."""
    grid, width = Grid(container, DEFAULT_BITS[container]), 2 * RANK
    kernel = torch.randn(RANK, width, 3, 3, 3, generator=torch.Generator().manual_seed(3)) / (27 * width) ** 0.5
    block, layer = leapfrog(channels=width), (kernel, weights((3, 3, 3))[1].float())
    start, results = state(grid, shape=(*SHAPE[:-1], width)), []
    for kept in (None, []):
        current, adjoint = copy(start), state(Grid(torch.float32, None), 2, (*SHAPE[:-1], width))
        settings = context(convolution, kept=kept)
        block.forward_(current, layer, settings)
        final = copy(current)
        if kept is not None:
            (samples,) = kept
            assert len(samples) == SHAPE[0]
            assert all(part.amax() > 0 for sample in samples for part in sample)
        gradients = block.adjoint_(current, adjoint, layer, settings, needs=NEEDS)
        assert not kept
        assert equal(current, start)
        results.append((final.partner, final.curr, adjoint.partner, adjoint.curr, *gradients))
    assert all(map(torch.equal, *results))


@pytest.mark.usefixtures("tiling", "kind")
def test_a_sample_does_not_depend_on_the_rest_of_the_batch():
    block, layer = leapfrog(), operands((3, 3, 3))
    both = state(DOUBLE)
    second = State(both.partner[1:].clone(), both.curr[1:].clone(), DOUBLE)
    block.forward_(both, layer, context())
    block.forward_(second, layer, context())
    assert torch.equal(both.curr[1:], second.curr)


@AXES
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("kind", [Coarsen, Refine])
def test_changes_of_level_are_inverted_bit_for_bit(kind, container, axes):
    grid = Grid(container, DEFAULT_BITS[container])
    start = state(grid, shape=(2, 4, 6, 4, 16))
    current = copy(start)
    kind(axes).forward_(current, (), context(budget=1))
    factor = 2 ** sum(axes)
    assert current.curr.shape[-1] == (16 * factor if kind is Coarsen else 16 // factor)
    kind(axes).inverse_(current, (), context(budget=1 << 20))
    assert equal(current, start)


@AXES
@pytest.mark.parametrize("kind", [Coarsen, Refine])
def test_changes_of_level_have_the_adjoint_of_the_dot_product(kind, axes):
    x = state(DOUBLE, 3, (1, 4, 6, 4, 16))
    image = copy(x)
    kind(axes).forward_(image, (), context(budget=1 << 20))
    y = state(DOUBLE, 4, tuple(image.curr.shape))
    back = copy(y)
    undone = copy(image)
    assert kind(axes).adjoint_(undone, back, (), context(budget=1 << 20), needs=()) == ()
    for name in ("partner", "curr"):
        forth, other = (
            (getattr(image, name) * getattr(y, name)).sum(),
            (getattr(x, name) * getattr(back, name)).sum(),
        )
        assert torch.allclose(forth, other, rtol=1e-12)
        assert torch.allclose(getattr(undone, name), getattr(x, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("axes", [(False, False, False), (True, True)])
@pytest.mark.parametrize("kind", [Coarsen, Refine])
def test_changes_of_level_along_no_axis_are_refused(kind, axes):
    with pytest.raises(ValueError, match="say of each of T, H and W whether it is halved"):
        kind(axes)


@pytest.mark.parametrize("step_size", [0.0, -1.0, float("nan"), float("inf")])
def test_step_sizes_that_are_none_are_refused(step_size):
    with pytest.raises(ValueError, match=f"step_size is {step_size}; give a positive number"):
        leapfrog(step_size=step_size)


def test_a_symmetric_layer_takes_no_condition():
    with pytest.raises(ValueError, match="takes no condition; give a module of your own"):
        Leapfrog(SymmetricLayer(2, 3), conditioned=True)
