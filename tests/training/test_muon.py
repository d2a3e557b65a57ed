"""Against torch's Muon, which rounds to bfloat16, and against the same iteration in float64."""

import pytest
import torch

from revseg.training.muon import COEFFICIENTS, STEPS, Muon, orthogonal
from revseg.training.rule import Group

SHAPES = [(16, 27), (16, 1728), (3, 55296), (48, 27), (16, 16)]


def matrix(shape: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """With singular values over five powers of ten."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return values * torch.logspace(0, -5, shape[0])[:, None]


def newton_schulz(values: torch.Tensor) -> torch.Tensor:
    """As it is written, on the whole matrix."""
    a, b, c = COEFFICIENTS
    values = values / values.norm()
    for _ in range(STEPS):
        gram = values @ values.T
        values = a * values + (b * gram + c * gram @ gram) @ values
    return values


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_multiplied_up_are_the_iteration(shape: tuple[int, int]) -> None:
    values = matrix(shape)
    exact = newton_schulz(values.double())
    error = (orthogonal(values).double() - exact).norm() / exact.norm()
    assert error < 1e-3  # torch's: 1e-2


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_of_torch(shape: tuple[int, int]) -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    mine = Muon([Group([ours], rate=0.1, decay=0.5)], momentum=0.9)
    other = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.5)
    for seed in range(3):
        for parameter, optimizer in ((ours, mine), (theirs, other)):
            parameter.grad = matrix(shape, seed)
            optimizer.step()
    change = theirs.detach() - 0.95**3
    assert ((ours - theirs).norm() / change.norm()).item() < 0.02
    assert torch.equal(mine.state[ours]["momentum_buffer"], other.state[theirs]["momentum_buffer"])


def test_zero_stays_zero_and_what_has_no_gradient_stays() -> None:
    still, unused = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(2, 3))
    still.grad = torch.zeros(2, 3)
    Muon([Group([still, unused], rate=0.1)], momentum=0.9).step()
    assert torch.equal(still, torch.ones(2, 3))
    assert torch.equal(unused, torch.ones(2, 3))
