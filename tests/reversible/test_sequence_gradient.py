"""Gradients of the sequence: those of plain autograd, and in exact arithmetic those of stored states."""

import itertools

import numpy as np
import pytest
import torch

from revseg.reversible.block import Leapfrog
from revseg.reversible.force.product import is_wide
from revseg.reversible.grid import Grid
from revseg.reversible.run import unscaled
from revseg.reversible.state import State
from tests.reversible.sequences import begun, build, exact, gradients, layers_of, loss_of, plain, start

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("slab_bytes", [1, 30_000, 1 << 30])
@pytest.mark.parametrize(
    ("depths", "halves_time", "size", "rank"),
    [
        ((1, 2, 1), (True, True), 3, 3),
        ((1, 2, 1), (True, True), 3, 2),  # 128 channels take the matrix products
        ((0, 1, 2), (False, True), 3, 3),
        ((2,), (), 5, 3),
        ((1, 1), (True,), 1, 3),
        ((1, 1), (True,), (1, 3, 3), 3),
        ((2,), (), (3, 1, 5), 3),
        ((0, 0), (True,), 3, 3),
    ],
)
def test_gradients_equal_plain_autograd(depths, halves_time, size, rank, slab_bytes):
    sequence = build(depths, rank=rank, size=size, halves_time=halves_time, slab_bytes=slab_bytes)
    assert (rank == 2) == any(is_wide(layer.channels, rank) for layer in layers_of(sequence))
    inputs = [part.requires_grad_() for part in start(sequence, (2, 2, 4, 12, 8))]
    outputs, expected_outputs = sequence(*inputs), plain(sequence, *inputs, depths, halves_time)
    for got, expected in zip(outputs, expected_outputs, strict=True):
        assert torch.allclose(got, expected, rtol=0, atol=1e-11)
    expected_gradients = gradients(sequence, expected_outputs, inputs)
    for got, expected in zip(gradients(sequence, outputs, inputs), expected_gradients, strict=True):
        assert expected.norm() > 0
        assert (got - expected).abs().max() <= 1e-9 * expected.abs().max()


def test_gradcheck():
    sequence = build((1, 1), channels=1, rank=2)
    names = [name for name, _ in sequence.named_parameters()]

    def run(prev, curr, *parameters):
        return torch.func.functional_call(sequence, dict(zip(names, parameters, strict=True)), (prev, curr))

    inputs = [part.requires_grad_() for part in start(sequence, (1, 1, 2, 2, 4))]
    parameters = [p.detach().clone().requires_grad_() for p in sequence.parameters()]
    assert torch.autograd.gradcheck(run, (*inputs, *parameters), fast_mode=True)


@pytest.mark.parametrize("what", ["kernel", "bias", "prev", "curr"])
def test_taylor_remainder_is_of_second_order(what):
    """|L(p + e v) - L(p) - e <g, v>| = O(e^2): the slope of its logarithm over log e."""
    sequence = build((1, 1, 1))
    state = dict(zip(("prev", "curr"), start(sequence, (1, 2, 4, 8, 8)), strict=True))
    place = state[what].requires_grad_() if what in state else getattr(layers_of(sequence)[2], what)
    loss = loss_of(*sequence(**state))
    (gradient,) = torch.autograd.grad(loss, place)
    direction, base = torch.randn_like(place), place.detach().clone()
    direction /= direction.norm()
    steps, remainders = [0.1 * 2.0**-k for k in range(8)], []
    with torch.no_grad():
        for step in steps:
            place.copy_(base + step * direction)
            remainders.append(abs((loss_of(*sequence(**state)) - loss - step * (gradient * direction).sum()).item()))
    slope = np.polyfit(np.log(steps), np.log(remainders), 1)[0]
    assert slope >= 1.9


def with_stored_states(sequence, state, grads):
    """Gradients of a version that keeps every state: each adjoint step gets the one that forward had."""
    operands, run, stored = sequence.detached(), begun(sequence, state[0]), []
    pair, context = State.from_pair(*state, sequence.grid), run.context
    for block, own in zip(sequence.blocks, operands, strict=True):
        stored.append((pair.partner.clone(), pair.curr.clone()))
        block.forward_(pair, own, context)
    adjoint, result = run.adjoint_of(pair.curr, grads), []
    for block, own in zip(reversed(sequence.blocks), reversed(operands), strict=True):
        partner, curr = stored.pop()
        if isinstance(block, Leapfrog):
            # Of the state after the step the adjoint needs curr before it alone; what it recovers is thrown away.
            after = State(curr.clone(), torch.full_like(partner, 3), sequence.grid)
        else:
            after = State(pair.partner.clone(), pair.curr.clone(), sequence.grid)
        result.append(
            [unscaled(part, adjoint) for part in block.adjoint_(after, adjoint, own, context, needs=(True,) * len(own))]
        )
        block.inverse_(pair, own, context)
        assert torch.equal(pair.partner, partner)
        assert torch.equal(pair.curr, curr)
    u_prev, u_curr = (unscaled(part, adjoint) for part in adjoint.pair())
    return [-u_prev, u_curr, *itertools.chain(*reversed(result))]


@pytest.mark.parametrize("adjoint", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("container", [torch.float32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_exact_gradients_are_those_of_stored_states_bit_for_bit(convolution, container, adjoint):
    sequence = build((1, 2, 2, 4), grid=exact(container), convolution=convolution, adjoint=adjoint, slab_bytes=60_000)
    inputs = [part.requires_grad_() for part in start(sequence, (1, 2, 8, 16, 16))]
    outputs = sequence(*inputs)
    grads = [torch.randn_like(part) for part in outputs]
    operands = sequence.operands()
    assert "Recomputed" in type(outputs[0].grad_fn).__name__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "operands", lambda: operands)
        outputs = sequence(*inputs)
    got = torch.autograd.grad(outputs, (*inputs, *itertools.chain(*operands)), grads)
    detached = [part.detach() for part in inputs]
    for one, other in zip(got, with_stored_states(sequence, detached, grads), strict=True):
        assert one.abs().max() > 0
        assert torch.equal(one, other)


def test_exact_gradients_are_close_to_floating_point_ones():
    """Rounding passes gradients straight through: a fine grid gives the gradients of no grid."""
    sequence, reference = (
        build((1, 1, 1), grid=Grid(torch.float32, 17), convolution=torch.float32),
        build((1, 1, 1)),
    )
    state = start(sequence, (1, 2, 4, 8, 8))
    inputs = [part.clone().requires_grad_() for part in state]
    doubles = [part.double().requires_grad_() for part in state]
    expected = gradients(reference, reference(*doubles), doubles)
    for one, other in zip(gradients(sequence, sequence(*inputs), inputs), expected, strict=True):
        assert (one - other).norm() < 0.005 * other.norm()
