"""Frozen parts: other gradients keep their bits, and nothing is computed for what nobody asked for."""

import pytest
import torch
from torch import nn

from revseg.reversible.block import Leapfrog
from revseg.reversible.sequence import ReversibleSequence
from tests.reversible.sequences import build, exact, layers_of, loss_of, start
from tests.reversible.test_sequence_cost import _Convolutions


def sequence_and_state():
    sequence = build((1, 2), grid=exact(torch.float32), convolution=torch.float32, slab_bytes=1 << 30)
    return sequence, start(sequence, (1, 2, 4, 8, 8))


def gradients(sequence, state, inputs=False):
    """.grad of prev, curr and all parameters, and the convolutions of the backward pass."""
    leaves = [part.clone().requires_grad_(inputs) for part in state]
    operands = sequence.operands()
    sequence.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "operands", lambda: operands)  # the norms of the kernels are not what is counted
        loss = loss_of(*sequence(*leaves))
    with _Convolutions() as counter:
        loss.backward()
    return {name: part.grad for name, part in [*zip("pc", leaves, strict=True), *sequence.named_parameters()]}, counter.count


@pytest.mark.parametrize("frozen", [("kernel",), ("bias",), ("kernel", "bias")])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_other_gradients_keep_their_bits(layer, frozen):
    """The inputs' gradients are asked for, so the pass goes to the start; a kernel's costs two convolutions."""
    sequence, state = sequence_and_state()
    expected, whole = gradients(sequence, state, inputs=True)
    names = [
        name for name, part in sequence.named_parameters() for each in frozen if part is getattr(layers_of(sequence)[layer], each)
    ]
    for name in names:
        sequence.get_parameter(name).requires_grad_(False)
    found, count = gradients(sequence, state, inputs=True)
    assert len(names) == len(frozen)
    for name, gradient in found.items():
        assert (gradient is None) == (name in names)
        assert gradient is None or torch.equal(gradient, expected[name])
    assert count == whole - 2 * ("kernel" in frozen)
    assert whole == 6 * len(layers_of(sequence))


@pytest.mark.parametrize("trained", [1, 2, 3])
def test_the_pass_ends_where_nothing_below_needs_a_gradient(trained):
    sequence, state = sequence_and_state()
    expected, _ = gradients(sequence, state)
    layers = layers_of(sequence)
    for layer in layers[:trained]:
        layer.requires_grad_(False)
    found, count = gradients(sequence, state)
    assert count == 6 * (len(layers) - trained)
    for name, gradient in found.items():
        if name not in "pc" and sequence.get_parameter(name).requires_grad:
            assert torch.equal(gradient, expected[name])
        else:
            assert gradient is None


def test_of_one_input_alone():
    sequence, state = sequence_and_state()
    expected, _ = gradients(sequence, state, inputs=True)
    sequence.requires_grad_(False)
    curr = state[1].clone().requires_grad_()
    with _Convolutions() as counter:
        outputs = sequence(state[0], curr)
        before = counter.count
        loss_of(*outputs).backward()
    assert torch.equal(curr.grad, expected["c"])
    assert counter.count - before == 4 * len(layers_of(sequence))  # no kernel gradient


def test_nothing_that_needs_a_gradient_builds_no_graph():
    sequence, state = sequence_and_state()
    sequence.requires_grad_(False)
    assert not any(part.requires_grad for part in sequence(*state))


def test_parts_of_a_module_may_be_frozen():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 1))
    sequence = ReversibleSequence([Leapfrog(module), Leapfrog(nn.Conv2d(4, 4, 1))])
    state = start(sequence, (2, 4, 8, 8))
    loss_of(*sequence(*state)).backward()
    expected = {name: part.grad.clone() for name, part in sequence.named_parameters()}
    sequence.zero_grad()
    module[0].requires_grad_(False)
    loss_of(*sequence(*state)).backward()
    for name, part in sequence.named_parameters():
        assert part.grad is None if not part.requires_grad else torch.equal(part.grad, expected[name])


def test_parameters_that_are_not_used_have_no_gradient():
    class Spare(nn.Conv2d):
        def __init__(self):
            super().__init__(4, 4, 1)
            self.spare = nn.Parameter(torch.ones(3))

    sequence = ReversibleSequence([Leapfrog(Spare())])
    loss_of(*sequence(*start(sequence, (2, 4, 8, 8)))).backward()
    layer = sequence.blocks[0].layer
    assert layer.spare.grad is None
    assert layer.weight.grad.norm() > 0
