"""The way back uses what the way forwards used, whatever is set in between; the user's settings are left as they were."""

import gc
import itertools
import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from revseg.reversible.block import Coarsen, Leapfrog, Refine
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import switch
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence
from revseg.reversible.state import State
from tests.reversible.sequences import begun, loss_of, start

pytestmark = pytest.mark.slow


def mixed(**settings):
    """A layer for convolutions, one for matrix products, and a module."""
    torch.manual_seed(0)
    blocks = [Leapfrog(SymmetricLayer(8, 3), 0.5), Leapfrog(nn.Conv3d(8, 8, 3, padding=1), 0.3), Coarsen()]
    blocks += [Leapfrog(SymmetricLayer(64, 1), 0.5), Refine()]
    return ReversibleSequence(blocks, **{"convolution_dtype": torch.bfloat16, "slab_bytes": 30_000} | settings)


def gradients(between=lambda sequence: None):
    """Gradients of the inputs and parameters; between: called between forward and backward."""
    sequence = mixed()
    inputs = [part.requires_grad_() for part in start(sequence, (2, 8, 4, 12, 8))]
    loss, wanted = loss_of(*sequence(*inputs)), (*inputs, *sequence.parameters())
    between(sequence)
    return torch.autograd.grad(loss, wanted)


def set_step_sizes(sequence):
    for block in sequence.blocks:
        block.step_size = 0.1


CHANGES = {
    "step_size": set_step_sizes,
    "slab_bytes": lambda sequence: setattr(sequence, "slab_bytes", 1 << 30),
    "convolution_dtype": lambda sequence: setattr(sequence, "convolution_dtype", torch.float32),
    "adjoint_dtype": lambda sequence: setattr(sequence, "adjoint_dtype", torch.bfloat16),
    "grid": lambda sequence: setattr(sequence, "grid", Grid(torch.int16, 6)),
    "blocks": lambda sequence: sequence.blocks.append(Leapfrog(nn.Tanh())),
    "kernels": lambda sequence: switch.enable(False),
    "allow_tf32": lambda sequence: setattr(torch.backends.cudnn, "allow_tf32", False),
    "benchmark": lambda sequence: setattr(torch.backends.cudnn, "benchmark", True),
}


@pytest.fixture
def settings():
    """Puts the settings of libraries back."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32
    yield cudnn, matmul
    cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32 = before
    switch.enable(True)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("settings")
def test_changes_between_forward_and_backward_change_no_gradient(change):
    for got, expected in zip(gradients(CHANGES[change]), gradients(), strict=True):
        assert torch.equal(got, expected)


def test_the_choice_of_an_implementation_is_made_once_a_pass(monkeypatch):
    """A verdict or a switch that changes in between has no say."""
    asked = []
    monkeypatch.setattr("revseg.reversible.context.choose", lambda layout, device: asked.append(layout) or "product")
    expected = gradients()
    assert len(asked) == 2
    asked.clear()

    def forbid(sequence):
        monkeypatch.setattr("revseg.reversible.context.choose", lambda layout, device: pytest.fail("asked again"))

    assert all(map(torch.equal, gradients(forbid), expected))
    assert len(asked) == 2


class Watching(nn.Module):
    """Notes the settings under which it is computed."""

    def __init__(self):
        super().__init__()
        self.convolution, self.seen = nn.Conv3d(8, 8, 1), []

    def forward(self, y):
        cudnn = torch.backends.cudnn
        flags = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        self.seen.append((*flags, torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")))
        return self.convolution(y)


@pytest.mark.parametrize("tf32", [True, False])
def test_inside_the_passes_libraries_take_the_same_kernels(settings, tf32):
    """No autotuning, deterministic, without autocast; TF32 as the user had it when the pass began."""
    cudnn, matmul = settings
    watching = Watching()
    sequence = ReversibleSequence([Leapfrog(watching)])
    state = [part.requires_grad_() for part in start(sequence, (1, 8, 2, 4, 4))]
    cudnn.benchmark, cudnn.deterministic = True, False
    cudnn.allow_tf32, matmul.allow_tf32 = tf32, not tf32
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(*sequence(*state))
    cudnn.allow_tf32, matmul.allow_tf32 = not tf32, tf32
    with torch.autocast("cpu", torch.bfloat16):
        loss.backward()
    assert watching.seen == [(False, True, tf32, not tf32, False, False)] * 2
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32) == (True, False, not tf32, tf32)
    with torch.autocast("cpu", torch.bfloat16):
        sequence.inverse(*(part.detach() for part in state))
    assert watching.seen[2:] == [(False, True, not tf32, tf32, False, False)]


def test_settings_are_put_back_after_an_error(settings):
    cudnn, matmul = settings

    class Failing(nn.Module):
        def forward(self, y):
            raise ArithmeticError

    cudnn.benchmark, matmul.allow_tf32 = True, False
    sequence = ReversibleSequence([Leapfrog(Failing())])
    with pytest.raises(ArithmeticError):
        sequence(*start(sequence, (1, 8, 2, 4, 4)))
    assert cudnn.benchmark
    assert not matmul.allow_tf32


@pytest.mark.parametrize("where", ["forward", "backward", "both"])
def test_autocast_changes_no_bit_of_any_block(where, monkeypatch):
    """Modules too, whose convolutions autocast would compute in bfloat16."""
    found = []
    for autocast in (False, True):
        sequence = mixed()
        # The norms of the kernels lie outside of the sequence's passes: autocast around backward() reaches them.
        operands = [tuple(part.detach().requires_grad_() for part in own) for own in sequence.operands()]
        monkeypatch.setattr(sequence, "operands", lambda operands=operands: operands)
        inputs = [part.requires_grad_() for part in start(sequence, (1, 8, 4, 4, 4))]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and where != "backward"):
            outputs = sequence(*inputs)
        loss = loss_of(*outputs)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and where != "forward"):
            found.append((*outputs, *torch.autograd.grad(loss, (*inputs, *itertools.chain(*operands)))))
    assert all(map(torch.equal, *found))


class Live(TorchDispatchMode):
    """Largest number of bytes of the tensors that live at once, of those made within."""

    def __init__(self, *others):
        super().__init__()
        self.peak, self._known = 0, {}
        self._others = {tensor.untyped_storage().data_ptr() for tensor in others}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is not None and storage.data_ptr() not in self._others:
                self._known.setdefault(storage.data_ptr(), (storage.nbytes(), []))[1].append(weakref.ref(tensor))
        known = {key: (size, [ref for ref in refs if ref() is not None]) for key, (size, refs) in self._known.items()}
        self._known = {key: both for key, both in known.items() if both[1]}
        self.peak = max(self.peak, sum(size for size, _ in self._known.values()))
        return result


@pytest.mark.parametrize("way", ["forward_", "inverse_", "adjoint_"])
@pytest.mark.parametrize("grid", [Grid(), Grid(torch.int16, 6), Grid(torch.float32, None)], ids=str)
@pytest.mark.parametrize("adjoint_dtype", [torch.float32, torch.float16])
def test_no_pass_needs_a_third_field(way, grid, adjoint_dtype, monkeypatch):
    """Beside two fields of the state and two of the adjoint, slabs and strips alone."""
    monkeypatch.setattr("revseg.reversible.haar.STRIP_BYTES", {"cpu": 1 << 13})
    monkeypatch.setattr("revseg.reversible.grid.PIECE", 1 << 11)
    monkeypatch.setattr("revseg.reversible.state.CHECKED", {"cpu": 1 << 12})
    torch.manual_seed(0)
    blocks = [Leapfrog(SymmetricLayer(4, 2), 0.5), Coarsen(), Refine()]
    settings = {"convolution_dtype": torch.bfloat16, "adjoint_dtype": adjoint_dtype, "slab_bytes": 10_000}
    sequence = ReversibleSequence(blocks, grid=grid, **settings)
    state = State.from_pair(*start(sequence, (1, 4, 32, 32, 16)), grid)
    field = torch.randn(1, 32, 32, 16, 4).to(adjoint_dtype)
    adjoint = State(field, field.clone(), Grid(adjoint_dtype, None))
    run, operands = begun(sequence, state.curr), sequence.detached()
    gc.collect()
    fields = (state.partner, state.curr, field, adjoint.curr)
    with Live(*fields) as live:
        getattr(run, way)(state, *([adjoint] if way == "adjoint_" else []), operands)
    assert 0 < live.peak < 2 / 3 * min(part.nbytes for part in fields)
