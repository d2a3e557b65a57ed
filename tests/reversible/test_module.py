"""Blocks of any module, on images and volumes: an exact inverse, and the gradients of ordinary autograd."""

import itertools
import pickle
import re

import pytest
import torch
from torch import nn

from revseg.reversible.activation import ACTIVATIONS, Activation
from revseg.reversible.block import Coarsen, Leapfrog, Refine
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence
from tests.reversible.sequences import loss_of

pytestmark = pytest.mark.slow

CONTAINERS = [torch.float32, torch.int32, torch.int16]
DOUBLE = Grid(torch.float64, None)
SUBSETS = [axes for axes in itertools.product((True, False), repeat=3) if any(axes)]
SIGMOID = Activation("sigmoid", torch.sigmoid, lambda a: a * (1 - a))


def convolution(channels):
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.GroupNorm(2, channels), nn.ReLU())


class Attention(nn.Module):
    """Attention over channels: each is a token of all its pixels."""

    def __init__(self, channels):
        super().__init__()
        self.query, self.value = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, y):
        tokens = y.flatten(2).mT
        queries = self.query(tokens)
        weights = (queries.mT @ queries / tokens.shape[1]).softmax(-1)
        return (self.value(tokens) @ weights).mT.reshape(y.shape)


class Conditioned(nn.Module):
    """A convolution whose channels a vector scales."""

    def __init__(self, channels):
        super().__init__()
        self.convolution, self.gains = nn.Conv2d(channels, channels, 3, padding=1), nn.Linear(3, channels)

    def forward(self, y, condition):
        return torch.tanh(self.convolution(y)) * self.gains(condition)[:, :, None, None]


def images(grid, recompute=True):
    """All kinds of blocks: (N, 4, H, W), and one condition (N, 3)."""
    torch.manual_seed(0)
    across, down = (False, True, True), (False, True, False)
    blocks = [
        Leapfrog(convolution(4), 0.5),
        Leapfrog(Conditioned(4), 0.7, conditioned=True),
        Coarsen(across),
        Leapfrog(Attention(16), 0.5),
        Leapfrog(SymmetricLayer(16, 5, (1, 3, 3), activation="tanh")),
        Coarsen(down),
        Leapfrog(nn.Tanh(), 0.3),
        Leapfrog(SymmetricLayer(32, 5, (1, 3, 3))),
        Refine(down),
        Leapfrog(Conditioned(16), 0.5, conditioned=True),
        Refine(across),
    ]
    sequence = ReversibleSequence(blocks, grid=grid, recompute=recompute, adjoint_dtype=torch.float32)
    if grid.dtype == torch.float64:
        sequence.double()
        sequence.convolution_dtype = sequence.adjoint_dtype = torch.float64
    return sequence


def inputs(sequence, shape=(2, 4, 8, 12), conditions=1):
    """On the grid: prev, curr and conditions."""
    generator, grid = torch.Generator().manual_seed(1), sequence.grid
    dtype = torch.float64 if grid.dtype == torch.float64 else torch.float32
    state = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    given = [torch.randn(shape[0], 3, generator=generator, dtype=torch.float64).to(dtype) for _ in range(conditions)]
    return [*(grid.load(grid.store(part), torch.float64).to(dtype) for part in state), *given]


def assert_gradients_equal_stored_ones(sequence, stored, given):
    stored.load_state_dict(sequence.state_dict())
    found = []
    for each in (sequence, stored):
        leaves = [part.clone().requires_grad_() for part in given]
        outputs = each(*leaves)
        wanted = (*leaves, *each.parameters())
        found.append((*outputs, *torch.autograd.grad(loss_of(*outputs), wanted)))
    for got, expected in zip(*found, strict=True):
        assert expected.abs().max() > 0
        assert (got - expected).abs().max() <= 1e-10 * max(1, expected.abs().max())


@pytest.mark.parametrize("container", CONTAINERS)
def test_images_are_inverted_bit_for_bit(container):
    sequence = images(Grid(container, DEFAULT_BITS[container]))
    prev, curr, condition = inputs(sequence)
    with torch.no_grad():
        after = sequence(prev, curr, condition)
        assert not torch.equal(after[1], curr)
        back = sequence.inverse(*after, condition)
    assert torch.equal(back[0], prev)
    assert torch.equal(back[1], curr)


def test_gradients_of_inputs_parameters_and_conditions_are_those_of_autograd():
    sequence = images(DOUBLE)
    assert_gradients_equal_stored_ones(sequence, images(DOUBLE, recompute=False), inputs(sequence))


@pytest.mark.parametrize("container", CONTAINERS)
def test_gradients_on_a_grid_are_close_to_those_of_autograd(container):
    """Another rounding of the Haar transform moves states by a few units."""
    grid = Grid(container, 12 if container != torch.int16 else 9)
    found = []
    for recompute in (True, False):
        sequence = images(grid, recompute)
        leaves = [part.requires_grad_() for part in inputs(sequence)]
        outputs = sequence(*leaves)
        found.append(torch.autograd.grad(loss_of(*outputs), (*leaves, *sequence.parameters())))
    for got, expected in zip(*found, strict=True):
        assert (got - expected).norm() <= (0.1 if container == torch.int16 else 0.05) * expected.norm()


@pytest.mark.parametrize("axes", SUBSETS)
def test_every_subset_of_the_axes(axes):
    """Inverted bit for bit on a grid; in float64 the gradients of autograd."""

    def build(grid, dtype, recompute=True):
        torch.manual_seed(0)
        wide = 2 << sum(axes)
        blocks = [Leapfrog(SymmetricLayer(2, 3)), Coarsen(axes), Leapfrog(SymmetricLayer(wide, 3, (1, 3, 3))), Refine(axes)]
        settings = {"convolution_dtype": dtype, "adjoint_dtype": dtype, "recompute": recompute}
        return ReversibleSequence(blocks, grid=grid, **settings).to(dtype)

    exact = build(Grid(), torch.float32)
    assert exact.multiple == tuple(2 if halved else 1 for halved in axes)
    size = [2 * 3 if halved else 5 for halved in axes]
    given = inputs(exact, (2, 2, *size), conditions=0)
    with torch.no_grad():
        back = exact.inverse(*exact(*given))
    assert all(map(torch.equal, back, given))
    double = build(DOUBLE, torch.float64)
    given = inputs(double, (2, 2, *size), conditions=0)
    assert_gradients_equal_stored_ones(double, build(DOUBLE, torch.float64, recompute=False), given)


@pytest.mark.parametrize("rank", [3, 1])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, SIGMOID], ids=[*ACTIVATIONS, "sigmoid"])
def test_every_activation_has_the_adjoint_of_autograd(activation, rank):
    """By convolutions, and by matrix products where 64 channels meet rank 1; biases that are not zero."""

    def build(recompute):
        torch.manual_seed(0)
        layers = [SymmetricLayer(channels, rank, activation=activation) for channels in (8, 64)]
        for layer in layers:
            nn.init.normal_(layer.bias)
        blocks = [Leapfrog(layers[0]), Coarsen(), Leapfrog(layers[1])]
        settings = {"convolution_dtype": torch.float64, "adjoint_dtype": torch.float64, "recompute": recompute}
        return ReversibleSequence(blocks, grid=DOUBLE, slab_bytes=30_000, **settings).double()

    sequence = build(True)
    assert_gradients_equal_stored_ones(sequence, build(False), inputs(sequence, (2, 8, 4, 12, 8), conditions=0))


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        (
            [Leapfrog(SymmetricLayer(4, 2)), Coarsen(), Leapfrog(SymmetricLayer(16, 2))],
            "2 (Leapfrog) does not fit: its layer has 16",
        ),
        ([Leapfrog(SymmetricLayer(4, 2)), Refine()], "1 (Refine) does not fit: 4 channels cannot be refined along T, H and W"),
        (
            [Coarsen(), Leapfrog(SymmetricLayer(8, 2)), Refine(), Refine((False, False, True))],
            "3 (Refine) does not fit: 1 channels",
        ),
    ],
)
def test_blocks_that_do_not_fit_are_refused_when_the_sequence_is_built(blocks, sentence):
    with pytest.raises(ValueError, match=re.escape(f"block {sentence}")):
        ReversibleSequence(blocks)


def test_a_module_that_changes_the_shape_is_refused():
    sequence = ReversibleSequence([Leapfrog(nn.Conv2d(4, 4, 3))])
    with pytest.raises(
        ValueError, match=r"Conv2d maps \(2, 4, 8, 12\) to \(2, 4, 6, 10\); the module of a block must keep the shape"
    ):
        sequence(*inputs(sequence, conditions=0))


@pytest.mark.parametrize("shapes", [((1, 4, 8, 8), (1, 4, 8, 9)), ((4, 8, 8), (4, 8, 8))])
def test_states_that_are_none_are_refused(shapes):
    with pytest.raises(ValueError, match="give two of one shape"):
        ReversibleSequence([Leapfrog(nn.Tanh())])(*map(torch.zeros, shapes))


@pytest.mark.parametrize("part", [nn.Dropout(0.1), nn.Dropout2d(0.5), nn.BatchNorm2d(4)])
def test_modules_that_differ_when_computed_again_are_refused_in_training(part):
    sequence = ReversibleSequence([Leapfrog(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), part))])
    given = inputs(sequence, conditions=0)
    with pytest.raises(RuntimeError, match=rf"{type(part).__name__} \(1\) in a reversible block"):
        sequence(*given)
    sequence.eval()
    with torch.no_grad():
        assert all(map(torch.equal, sequence.inverse(*sequence(*given)), given))


@pytest.mark.parametrize("part", [nn.Dropout(0.0), nn.BatchNorm2d(4, track_running_stats=False)])
def test_modules_that_do_not_differ_are_taken(part):
    sequence = ReversibleSequence([Leapfrog(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), part))])
    loss_of(*sequence(*inputs(sequence, conditions=0))).backward()


def test_randomness_that_is_not_known_is_noticed_in_the_backward_pass():
    class Noisy(nn.Module):
        def forward(self, y):
            return y + torch.rand_like(y)

    sequence = ReversibleSequence([Leapfrog(Noisy()), Leapfrog(SymmetricLayer(4, 2, (1, 3, 3)))])
    state = [part.requires_grad_() for part in inputs(sequence, conditions=0)]
    with pytest.raises(RuntimeError, match="did not return to the state that the forward pass began with"):
        loss_of(*sequence(*state)).backward()


def test_weights_changed_in_between_are_noticed():
    """A module's buffers are read again; torch itself watches the parameters."""
    sequence = ReversibleSequence([Leapfrog(convolution(4)), Leapfrog(Scaled())])
    state = [part.requires_grad_() for part in inputs(sequence, conditions=0)]
    loss = loss_of(*sequence(*state))
    sequence.blocks[1].layer.gain.mul_(2)
    with pytest.raises(RuntimeError, match="weights changed in between"):
        loss.backward()


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("gain", torch.ones(()))

    def forward(self, y):
        return self.gain * y.sin()


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"])
def test_hooks_on_a_symmetric_layer_are_refused(register):
    sequence = ReversibleSequence([Leapfrog(SymmetricLayer(4, 2, (1, 3, 3)))])
    getattr(sequence.blocks[0].layer, register)(lambda *_: None)
    with pytest.raises(RuntimeError, match="a hook on a symmetric layer would not run"):
        sequence(*inputs(sequence, conditions=0))


def test_torch_func_needs_stored_states():
    recomputed, stored = images(DOUBLE), images(DOUBLE, recompute=False)
    prev, curr, condition = inputs(recomputed)

    def loss(sequence, curr):
        return loss_of(*sequence(prev, curr, condition))

    with pytest.raises(RuntimeError, match="build the sequence with recompute=False"):
        torch.func.grad(loss, argnums=1)(recomputed, curr)
    gradient = torch.func.grad(lambda part: loss(stored, part))(curr)
    leaf = curr.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(recomputed, leaf), leaf)
    assert torch.allclose(gradient, expected, rtol=0, atol=1e-10 * expected.abs().max().item())


def test_double_backward_is_an_error_and_works_with_stored_states():
    sequence, stored = images(DOUBLE), images(DOUBLE, recompute=False)
    given = [part.requires_grad_() for part in inputs(sequence)]
    with pytest.raises(RuntimeError, match="differentiated only once; leave out create_graph=True"):
        torch.autograd.grad(loss_of(*sequence(*given)), given, create_graph=True)
    torch.autograd.grad(loss_of(*stored(*given)), given, create_graph=True)


def test_channels_of_the_input_are_checked():
    sequence = ReversibleSequence([Coarsen(), Leapfrog(SymmetricLayer(32, 8)), Refine()])
    field = torch.zeros(1, 3, 4, 8, 8)
    with pytest.raises(ValueError, match=r"block 1 \(Leapfrog\) does not fit: its layer has 32 channels, but is given 24"):
        sequence(field, field)


def test_a_module_of_constant_output_passes_gradients_by():
    class Constant(nn.Module):
        def forward(self, y):
            return torch.ones_like(y)

    sequence = ReversibleSequence([Leapfrog(Constant())])
    prev, curr = (torch.zeros(1, 2, 2, 4, 4).requires_grad_() for _ in range(2))
    ends = sequence(prev, curr)
    assert torch.equal(ends[1], torch.full_like(curr, -1))
    g_prev, g_curr = torch.autograd.grad(ends[1].sum(), (prev, curr))
    assert torch.equal(g_prev, torch.full_like(prev, -1))
    assert torch.equal(g_curr, torch.full_like(curr, 2))


def test_layers_and_activations_survive_pickling():
    layer = SymmetricLayer(2, 3, activation="tanh", norm="matrix")
    copied = pickle.loads(pickle.dumps(layer))
    assert copied.activation is layer.activation
    y = torch.randn(1, 2, 3, 4, 5)
    assert torch.equal(copied(y), layer(y))
