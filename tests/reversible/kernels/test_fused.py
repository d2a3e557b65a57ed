"""The kernels inside the reversible sequence: inverse, slabs, gradients."""

import pytest
import torch

from revseg.reversible.block import Coarsen, Leapfrog, Refine
from revseg.reversible.force import choice
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch, switch
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence
from revseg.reversible.state import State
from tests.reversible.force.forces import layout_of

pytestmark = pytest.mark.slow


@pytest.fixture
def fused(device, monkeypatch):
    """The kernels as the sequence's path, on CPU too where they are interpreted."""
    monkeypatch.setattr(dispatch, "available", lambda _: True)
    monkeypatch.setattr(choice, "_agrees", lambda *_, **__: True)
    monkeypatch.setattr(dispatch, "_haar_agrees", lambda *_, **__: True)
    return device


def sequence(device: torch.device, grid: Grid, adjoint: torch.dtype, slab_bytes: int) -> ReversibleSequence:
    torch.manual_seed(0)
    layer = SymmetricLayer(32, 16)
    torch.nn.init.normal_(layer.bias, std=0.1)
    blocks = [Coarsen(), Leapfrog(layer, 0.7), Refine()]
    net = ReversibleSequence(blocks, grid=grid, convolution_dtype=torch.bfloat16, adjoint_dtype=adjoint, slab_bytes=slab_bytes)
    return net.to(device)


def run(net: ReversibleSequence, device: torch.device) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    prev, curr = (torch.randn(1, 4, 4, 8, 20, generator=generator).to(device) for _ in range(2))
    outputs = net(prev.requires_grad_(), curr.requires_grad_())
    weight = torch.linspace(-1, 1, prev.numel(), device=device).view_as(prev)
    loss = sum((part * weight).sum() for part in outputs)
    return *outputs, *torch.autograd.grad(loss, (prev, curr, *net.parameters()))


def test_inverse_is_exact_and_slabs_do_not_change_a_bit(fused, monkeypatch):
    whole = sequence(fused, Grid(torch.int16, 8), torch.bfloat16, 1 << 24)
    start = State.from_pair(*torch.randn(2, 1, 4, 4, 8, 20, device=fused), whole.grid).pair()
    begin, kinds = ReversibleSequence.begin, []
    monkeypatch.setattr(ReversibleSequence, "begin", lambda *a, **k: kinds.append(begin(*a, **k)) or kinds[-1])
    end = whole(*start)
    assert [*kinds[0].context.kinds.values()] == ["fused"]
    assert all(torch.equal(a, b) for a, b in zip(start, whole.inverse(*end), strict=True))

    parts = sequence(fused, Grid(torch.int16, 8), torch.bfloat16, 2000)
    assert all(torch.equal(a, b) for a, b in zip(end, parts(*start), strict=True))


@pytest.mark.parametrize(("bits", "adjoint"), [(12, torch.float16), (None, torch.float32)])
def test_states_and_gradients_are_close_to_those_of_pytorch(fused, bits, adjoint):
    net = sequence(fused, Grid(torch.float32, bits), adjoint, 1 << 24)
    found = run(net, fused)
    switch.enable(False)
    try:
        expected = run(net, fused)
    finally:
        switch.enable(True)
    for value, truth in zip(found, expected, strict=True):
        difference = torch.linalg.vector_norm(value - truth) / torch.linalg.vector_norm(truth)
        assert difference.item() < 1e-2  # PyTorch rounds the force to bfloat16 before the grid does


@pytest.mark.parametrize(
    ("grid", "adjoint"),
    [(Grid(torch.int32, 12), torch.bfloat16), (Grid(torch.int16, 6), torch.float16), (Grid(torch.float32, None), torch.float32)],
)
def test_own_check_of_a_layout_passes(grid, adjoint, device):
    from revseg.reversible.force.verify import verify_layer

    layout = layout_of(torch.empty(12, 4, 3, 3, 3), dtype=torch.bfloat16, grid=grid, adjoint=adjoint)
    assert verify_layer(device, layout) == ""


def test_own_check_notices_a_wrong_bit(device, monkeypatch):
    from revseg.reversible.kernels import verify

    coarsen_group_ = verify.coarsen_group_

    def wrong(fine, coarse, *rest, **more):
        coarsen_group_(fine, coarse, *rest, **more)
        coarse[0, 0, 0, 0] += 1

    assert verify.verify_haar(device, 4, torch.int16, True) == ""
    monkeypatch.setattr(verify, "coarsen_group_", wrong)
    assert "bits" in verify.verify_haar(device, 4, torch.int16, True)
