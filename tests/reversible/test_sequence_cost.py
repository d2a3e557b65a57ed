"""What the sequence costs: memory independent of depth, eight convolutions per block and step."""

import gc
import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from revseg.reversible.grid import Grid
from revseg.reversible.state import State
from tests.reversible.sequences import begun, build, exact, layers_of, loss_of, start


def saved_and_alive(sequence, state):
    """Bytes of the tensors kept between forward and backward, weights aside: (saved, alive)."""
    operands = sequence.operands()
    weights = {part.untyped_storage().data_ptr() for part in (*sequence.parameters(), *itertools.chain(*operands))}
    before, saved = _alive(), {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        pytest.MonkeyPatch.context() as patch,
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        patch.setattr(sequence, "operands", lambda: operands)
        outputs = sequence(*state)
    alive = {pointer: size for pointer, size in _alive().items() if pointer not in before}
    assert outputs[0].requires_grad
    return sorted(saved.values()), sorted(alive.values())


def _alive():
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}


def test_memory_between_forward_and_backward_does_not_grow_with_depth():
    measured = []
    for depths in ((0, 1, 0, 2), (8, 8, 8, 16)):
        sequence = build(depths, grid=exact(torch.float32), convolution=torch.float32, slab_bytes=60_000)
        measured.append((len(layers_of(sequence)), saved_and_alive(sequence, start(sequence, (1, 2, 8, 8, 8)))))
    (few, (saved, alive)), (many, (saved_deep, alive_deep)) = measured
    assert (few, many) == (4, 64)
    assert saved == saved_deep
    assert alive == alive_deep
    field = 2 * 8**3 * 4
    assert saved == [field, field]  # the final state
    assert alive[:-4] == [16]  # the checksum of the state that it began with
    assert alive[-4:] == [field] * 4  # and the outputs


class _Convolutions(TorchDispatchMode):
    """Counts convolutions and kernel gradients; one of images is a third of one of volumes, one of 3 taps along T."""

    def __init__(self):
        super().__init__()
        self.count = Fraction(0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "convolution" in func.overloadpacket.__name__:
            self.count += 1 if args[0].ndim == 5 else Fraction(1, 3)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("convolution", [torch.float32, torch.bfloat16, torch.float64])
def test_eight_convolutions_per_block_and_step(convolution, monkeypatch):
    """2 forward; K y, K u, K^T a, K^T d and two kernel gradients backward. One slab, so one call each."""
    sequence = build((2, 3), grid=exact(torch.float32), convolution=convolution, slab_bytes=1 << 30)
    state, operands = start(sequence, (1, 2, 4, 8, 8)), sequence.operands()
    monkeypatch.setattr(sequence, "operands", lambda: operands)  # the norms of the kernels are not what is counted
    with _Convolutions() as counter:
        outputs = sequence(*state)
        assert counter.count == 2 * len(layers_of(sequence))
        loss_of(*outputs).backward()
    assert counter.count == 8 * len(layers_of(sequence))


@pytest.mark.parametrize("convolution", [torch.float32, torch.bfloat16])
def test_seven_convolutions_where_hidden_activations_are_kept(convolution):
    """Kept on level 1, of 16 channels, not on level 0, of 2; the rank is 3. The same bits, and nothing is left behind."""
    sequence = build((2, 3), grid=exact(torch.float32), convolution=convolution, slab_bytes=1 << 30)
    prev, curr = start(sequence, (1, 2, 4, 8, 8))
    operands, results = sequence.detached(), []
    for keep, saved in ((False, 0), (True, 3)):
        state = State.from_pair(prev, curr, sequence.grid)
        adjoint = State.from_pair(curr, prev, Grid(torch.float32, None))
        run = begun(sequence, curr, keep_hidden=keep)
        with _Convolutions() as counter:
            run.forward_(state, operands)
            if keep:
                assert [any(samples) for samples in run.context.kept] == [False, False, True, True, True, False, False]
            gradients = run.adjoint_(state, adjoint, operands)
        assert counter.count == 8 * len(layers_of(sequence)) - saved
        assert not run.context.kept
        assert all(map(torch.equal, state.pair(), (prev, curr)))
        results.append((adjoint.partner, adjoint.curr, *itertools.chain(*gradients)))
    assert all(map(torch.equal, *results))


def test_floating_point_operations_are_those_of_eight_convolutions():
    """kernel_size 1 has no halo, so that the units come out even whatever the slabs."""
    rank, shape = 3, (2, 2, 4, 8, 8)
    sequence = build((2, 3), rank=rank, size=1, slab_bytes=20_000)
    unit = 2 * rank * math.prod(shape)  # one multiplication and one addition; C times positions is the same on every level
    with FlopCounterMode(display=False) as counter:
        loss_of(*sequence(*start(sequence, shape))).backward()
    counts = counter.get_flop_counts()["Global"]  # leaves out the norms of the kernels
    convolutions = counts[torch.ops.aten.convolution] + counts[torch.ops.aten.convolution_backward]
    assert convolutions == 8 * unit * len(layers_of(sequence))
