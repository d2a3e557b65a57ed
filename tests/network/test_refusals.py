"""What the network refuses, and what it takes: export, torch.func, other dtypes."""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.step import training_step
from tests.network.plain_step import PlainLoss, data, network

pytestmark = pytest.mark.slow


def test_export_gives_the_same_logits():
    """Stored states, whose Haar transform is rounded once: within a few units of the grid."""
    net = network(convolution_dtype="float32").eval()
    volume = torch.randn(1, 3, 5, 8, 9, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(net, (volume,), strict=False)
    with torch.no_grad():
        got, expected = program.module()(volume), net(volume)
    units = net.head.weight.abs().sum(1).max() * net.sequence.grid.unit
    assert (got - expected).abs().max() < 20 * units
    assert (expected - expected.mean()).abs().max() > 100 * units


def test_torch_func_is_refused_in_a_sentence():
    net, volume = network(), torch.randn(1, 3, 4, 4, 4)
    with pytest.raises(RuntimeError, match="build the sequence with recompute=False"):
        torch.func.grad(lambda part: net(part).sum())(volume)
    net.sequence.recompute = False
    assert torch.func.grad(lambda part: net(part).square().sum())(volume).norm() > 0


def test_weights_in_bfloat16_train():
    """Bounds of norms in float32, states on their grid: every parameter gets a finite gradient of its dtype."""
    net, (volume, labels, frames) = network(convolution_dtype="float32").to(torch.bfloat16), data()
    training_step(net, volume, labels, frames, PlainLoss())
    for part in net.parameters():
        assert part.grad.dtype == torch.bfloat16
        assert part.grad.isfinite().all()
        assert part.grad.norm() > 0
    net.zero_grad()
    net(volume).square().sum().backward()
    assert all(part.grad.isfinite().all() for part in net.parameters())


def test_hooks_within_the_sequence_are_refused_by_a_step_too():
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3)
    net.sequence.blocks[0].layer.register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="a hook on a symmetric layer would not run"):
        training_step(net, *data(), loss=PlainLoss())
