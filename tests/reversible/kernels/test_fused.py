"""The kernels inside the reversible sequence: inverse, slabs, gradients."""

import pytest
import torch

from revseg.reversible.block import Coarsen, Leapfrog, Refine
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import dispatch
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence

pytestmark = pytest.mark.slow


@pytest.fixture
def fused(device, monkeypatch):
    """The kernels as the sequence's path, on CPU too where they are interpreted."""
    monkeypatch.setattr(dispatch, "available", lambda _: True)
    monkeypatch.setattr(dispatch, "_agrees", lambda *_, **__: True)
    monkeypatch.setattr(dispatch, "_haar_agrees", lambda *_, **__: True)
    return device


def sequence(device: torch.device, grid: Grid, adjoint: torch.dtype, slab_bytes: int) -> ReversibleSequence:
    torch.manual_seed(0)
    layers = [SymmetricLayer(32, 16, 3)]
    torch.nn.init.normal_(layers[0].bias, std=0.1)
    blocks = [Coarsen(True), Leapfrog(0), Refine(True)]
    net = ReversibleSequence(blocks, layers, step_size=0.7, grid=grid, convolution_dtype=torch.bfloat16,
                             adjoint_dtype=adjoint, slab_bytes=slab_bytes)  # fmt: skip
    return net.to(device)


def run(net: ReversibleSequence, device: torch.device) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    prev, curr = (torch.randn(1, 4, 4, 8, 20, generator=generator).to(device) for _ in range(2))
    outputs = net(prev.requires_grad_(), curr.requires_grad_())
    weight = torch.linspace(-1, 1, prev.numel(), device=device).view_as(prev)
    loss = sum((part * weight).sum() for part in outputs)
    kernel, bias = net.layers[0].kernel, net.layers[0].bias
    return *outputs, *torch.autograd.grad(loss, (prev, curr, kernel, bias))


def test_inverse_is_exact_and_slabs_do_not_change_a_bit(fused):
    from revseg.reversible.kernels.fused import FusedLayer

    whole = sequence(fused, Grid(torch.int16, 8), torch.bfloat16, 1 << 24)
    assert isinstance(whole._prepare(whole.blocks[1], whole.detached(), whole.grid), FusedLayer)
    start = whole.values(whole.pair(*torch.randn(2, 1, 4, 4, 8, 20, device=fused), whole.grid))
    end = whole(*start)
    assert all(torch.equal(a, b) for a, b in zip(start, whole.inverse(*end), strict=True))

    parts = sequence(fused, Grid(torch.int16, 8), torch.bfloat16, 2000)
    assert all(torch.equal(a, b) for a, b in zip(end, parts(*start), strict=True))


def test_states_and_gradients_are_close_to_those_of_pytorch(fused):
    net = sequence(fused, Grid(torch.float32, 12), torch.float32, 1 << 24)
    found = run(net, fused)
    dispatch.enable(False)
    try:
        expected = run(net, fused)
    finally:
        dispatch.enable(True)
    for value, truth in zip(found, expected, strict=True):
        difference = torch.linalg.vector_norm(value - truth) / torch.linalg.vector_norm(truth)
        assert difference.item() < 1e-2  # PyTorch rounds the force to bfloat16 before the grid does


def test_own_check_of_a_layout_passes(device):
    from revseg.reversible.kernels.verify import verify_layer

    layout = dispatch.Layout(4, 12, 3, torch.bfloat16, Grid(torch.int32, 12), torch.bfloat16)
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
