"""Muon and AdamW act on the right parameters, and go on from a saved state bit for bit."""

import pytest
import torch

from revseg import RevSegNet
from revseg.training.config import OptimizerConfig
from revseg.training.optimizer import Optimizer, kernels_and_others


def tiny() -> RevSegNet:
    torch.manual_seed(0)
    return RevSegNet(channels=2, levels=1, depth=1, rank=3)


def add_gradients(net: RevSegNet, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def weights(net: RevSegNet) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def test_kernels_are_those_of_the_symmetric_layers() -> None:
    kernels, others = kernels_and_others(tiny())
    assert {kernel.ndim for kernel in kernels} == {5}
    assert len(kernels) == 3
    assert {other.ndim for other in others} == {1, 2}


def test_muon_moves_a_kernel_along_an_orthogonal_matrix() -> None:
    net = tiny()
    kernels, _ = kernels_and_others(net)
    before = kernels[0].detach().clone()
    optimizer = Optimizer(net, OptimizerConfig(kernel_rate=0.1))
    add_gradients(net, 1)
    optimizer.step(0.5)
    change = (before - kernels[0].detach()).flatten(1)
    sizes = torch.linalg.svdvals(change) / 0.05
    assert sizes.min() > 0.5  # Newton-Schulz brings singular values near 1, not to it
    assert sizes.max() < 1.5


def test_step_lets_the_gradients_go() -> None:
    net = tiny()
    optimizer = Optimizer(net, OptimizerConfig())
    add_gradients(net, 1)
    optimizer.step(1.0)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_weight_decay_spares_the_biases() -> None:
    net = tiny()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    Optimizer(net, OptimizerConfig("adamw", kernel_rate=0.1, rate=0.1, weight_decay=0.5)).step(1.0)
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 1.0 if name.endswith("bias") else 0.95))


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_resumed_is_equal_bit_for_bit(name: str) -> None:
    straight, stopped = tiny(), tiny()
    first, second = (Optimizer(net, OptimizerConfig(name)) for net in (straight, stopped))
    for seed in range(4):
        add_gradients(straight, seed)
        first.step(1.0)
    for seed in range(2):
        add_gradients(stopped, seed)
        second.step(1.0)
    resumed = tiny()
    resumed.load_state_dict(stopped.state_dict())
    third = Optimizer(resumed, OptimizerConfig(name))
    third.load_state_dict(second.state_dict())
    for seed in range(2, 4):
        add_gradients(resumed, seed)
        third.step(1.0)
    assert all(map(torch.equal, weights(straight), weights(resumed)))


def test_another_optimizer_than_saved() -> None:
    saved = Optimizer(tiny(), OptimizerConfig("adamw")).state_dict()
    with pytest.raises(ValueError, match="is muon, but the checkpoint was written with adamw"):
        Optimizer(tiny(), OptimizerConfig("muon")).load_state_dict(saved)


@pytest.mark.parametrize("settings", [{"name": "sgd"}, {"rate": 0.0}, {"kernel_rate": -1.0}])
def test_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"training.optimizer"):
        OptimizerConfig(**settings)  # type: ignore[arg-type]
