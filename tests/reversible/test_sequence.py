"""The sequence: inverted bit for bit at any depth, and every way of calling its backward pass."""

import itertools

import pytest
import torch

from revseg.reversible.force.convolution import position_bytes
from revseg.reversible.force.slab import slabs
from revseg.reversible.grid import Grid
from tests.reversible.force.forces import layout_of
from tests.reversible.sequences import build, exact, gradients, layers_of, loss_of, plain, start

pytestmark = pytest.mark.slow


def assert_inverted_exactly(sequence, state):
    with torch.no_grad():
        final = sequence(*state)
        assert not torch.equal(final[1], state[1])
        back = sequence.inverse(*final)
    assert torch.equal(back[0], state[0])
    assert torch.equal(back[1], state[1])


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_64_blocks_on_3_levels_are_inverted_bit_for_bit(container, convolution):
    """On level 3 the 1024 channels take the matrix product."""
    sequence = build((8, 8, 8, 16), grid=exact(container), convolution=convolution, step_size=0.15, slab_bytes=60_000)
    assert len(layers_of(sequence)) == 64
    assert_inverted_exactly(sequence, start(sequence, (1, 2, 8, 16, 16)))


BUDGETS, SIZES = [1, 20_000, 60_000, 100_000, 1 << 30], [(8, 24, 12), (16, 12, 12)]


@pytest.mark.parametrize("slab_bytes", BUDGETS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_any_number_of_slabs_is_inverted_bit_for_bit(convolution, size, slab_bytes):
    sequence = build((2, 2, 2), grid=exact(torch.float32), convolution=convolution, slab_bytes=slab_bytes)
    assert_inverted_exactly(sequence, start(sequence, (2, 2, *size)))


@pytest.mark.parametrize("size", [1, 3, 5, (1, 3, 3)])
@pytest.mark.parametrize("rank", [1, 5])
@pytest.mark.parametrize("halves_time", [(True, True), (False, True), (False, False)])
def test_kernel_sizes_ranks_and_uneven_coarsening_are_inverted_bit_for_bit(halves_time, rank, size):
    sequence = build(
        (1, 2, 1),
        rank=rank,
        size=size,
        halves_time=halves_time,
        grid=exact(torch.float32),
        convolution=torch.bfloat16,
        slab_bytes=30_000,
    )
    assert_inverted_exactly(sequence, start(sequence, (2, 2, 4, 8, 12)))


def test_floating_point_is_inverted_to_rounding():
    sequence = build((2, 2, 2))
    state = start(sequence, (2, 2, 4, 8, 8))
    with torch.no_grad():
        back = sequence.inverse(*sequence(*state))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-11) for a, b in zip(back, state, strict=True))


def test_slab_sizes_of_these_tests_do_split():
    """Along T, along H, along both, and not at all, in either dtype."""
    for dtype in (torch.bfloat16, torch.float32):
        kinds = {}
        for size, budget in itertools.product(SIZES, BUDGETS):
            layout = layout_of(torch.empty(3, 2, 3, 3, 3), dtype=dtype, grid=Grid())
            first = next(slabs((*size, 2), layout.radii, position_bytes(layout), budget))
            kinds.setdefault((first.splits_time, first.splits_height), set()).add(budget)
        assert len(kinds) == 4
        assert 1 in kinds[True, True]
        assert 1 << 30 in kinds[False, False]


@pytest.mark.parametrize("unused", [0, 1])
def test_an_output_may_stay_unused(unused):
    sequence = build((1, 1))
    inputs = [part.requires_grad_() for part in start(sequence, (1, 2, 4, 4, 4))]
    wanted = (*inputs, *sequence.parameters())
    got = torch.autograd.grad(sequence(*inputs)[1 - unused].square().sum(), wanted)
    loss = plain(sequence, *inputs, (1, 1), (True,))[1 - unused].square().sum()
    expected = torch.autograd.grad(loss, wanted, materialize_grads=True)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-9) for a, b in zip(got, expected, strict=True))


def test_gradients_accumulate_over_backward_passes():
    sequence = build((1, 1))
    states = [start(sequence, (1, 2, 4, 4, 4), seed) for seed in (1, 2)]
    total = torch.autograd.grad(sum(loss_of(*sequence(*state)) for state in states), tuple(sequence.parameters()))
    for state in states:
        loss_of(*sequence(*state)).backward()
    assert all(torch.allclose(p.grad, t, rtol=1e-12) for p, t in zip(sequence.parameters(), total, strict=True))


def test_retain_graph_gives_the_same_gradients_twice():
    sequence = build((1, 1), grid=exact(torch.float32), convolution=torch.float32)
    inputs = [part.requires_grad_() for part in start(sequence, (1, 2, 4, 4, 4))]
    loss, wanted = loss_of(*sequence(*inputs)), (*inputs, *sequence.parameters())
    passes = [torch.autograd.grad(loss, wanted, retain_graph=keep) for keep in (True, True, False)]
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(*passes, strict=True))


def test_second_backward_is_an_error():
    sequence = build((1, 1))
    loss = loss_of(*sequence(*start(sequence, (1, 2, 4, 4, 4))))
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("loss", [loss_of, lambda prev, curr: prev.sum() + curr.sum()])
def test_double_backward_is_an_error(loss):
    """For a linear loss too: a penalty on its gradient would silently be taken as a constant."""
    sequence = build((1, 1))
    inputs = [part.requires_grad_() for part in start(sequence, (1, 2, 4, 4, 4))]
    with pytest.raises(RuntimeError, match="differentiated only once"):
        torch.autograd.grad(loss(*sequence(*inputs)), inputs, create_graph=True)


def test_outputs_may_be_changed_in_place():
    """They are not the state that backward undoes."""
    sequence = build((1, 1))
    state = start(sequence, (1, 2, 4, 4, 4))
    expected = torch.autograd.grad(sequence(*state)[1].sum(), tuple(sequence.parameters()))
    outputs = sequence(*state)
    loss = outputs[1].sum()
    with torch.no_grad():
        outputs[0].zero_()
        outputs[1].zero_()
    got = torch.autograd.grad(loss, tuple(sequence.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_inputs_are_left_alone():
    sequence = build((1, 1))
    state = start(sequence, (1, 2, 4, 4, 4))
    copies = [part.clone() for part in state]
    loss_of(*sequence(*state)).backward()
    sequence.inverse(*state)
    assert all(torch.equal(a, b) for a, b in zip(state, copies, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(dtype):
    """The sequence has its own dtypes: forward and backward must repeat the same bits."""
    sequence = build((1, 1, 1), grid=exact(torch.float32), convolution=torch.float32)
    inputs = [part.to(dtype).requires_grad_() for part in start(sequence, (1, 2, 4, 4, 4))]
    expected = gradients(sequence, sequence(*inputs), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = sequence(*inputs)
    got = gradients(sequence, outputs, inputs)
    assert [part.dtype for part in got[:2]] == [dtype, dtype]
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
