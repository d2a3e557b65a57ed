"""Against torch.optim.AdamW, bit for bit."""

import subprocess
import sys

import pytest
import torch

from revseg.training.adamw import AdamW
from revseg.training.rule import Group


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 5), (4,), (2, 2))]


def add_gradients(moved: list[torch.nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for each in moved[:2]:  # the last has none
        each.grad = torch.randn(each.shape, generator=generator)


def ours(moved: list[torch.nn.Parameter]) -> AdamW:
    return AdamW([Group([moved[0], moved[2]], rate=0.1, decay=0.5), Group([moved[1]], rate=0.01)])


def theirs(moved: list[torch.nn.Parameter]) -> torch.optim.AdamW:
    first = {"params": [moved[0], moved[2]], "lr": 0.1, "weight_decay": 0.5}
    return torch.optim.AdamW([first, {"params": [moved[1]], "lr": 0.01, "weight_decay": 0.0}])


def test_steps_and_state_are_those_of_torch() -> None:
    mine, others = parameters(), parameters()
    rule, reference = ours(mine), theirs(others)
    for seed in range(4):
        for moved in (mine, others):
            add_gradients(moved, seed)
        rule.step()
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(mine, others, strict=True))
    found, expected = rule.state_dict(), reference.state_dict()["state"]
    assert found.keys() == expected.keys() == {0, 2}
    for place in found:
        assert found[place].keys() == expected[place].keys()
        assert all(torch.equal(found[place][name], expected[place][name]) for name in found[place])


def test_a_state_that_is_taken_over_is_a_copy() -> None:
    mine = parameters()
    rule = ours(mine)
    add_gradients(mine, 0)
    rule.step()
    saved = {place: {name: kept.clone() for name, kept in each.items()} for place, each in rule.state_dict().items()}
    again = ours(mine)
    again.load_state_dict(rule.state_dict())
    add_gradients(mine, 1)
    again.step()
    assert all(torch.equal(saved[place][name], kept) for place, each in rule.state_dict().items() for name, kept in each.items())
    assert float(again.state[mine[0]]["step"]) == 2


@pytest.mark.slow
def test_no_training_imports_the_compiler() -> None:
    """torch._dynamo takes seconds, and 146 MiB."""
    code = """
import sys, torch
from revseg import RevSegNet
from revseg.training.config import OptimizerConfig
from revseg.training.optimizer import Optimizer
net = RevSegNet(channels=1, levels=1, depth=1, rank=2)
for name in ("muon", "adamw"):
    for each in net.parameters():
        each.grad = torch.ones_like(each)
    torch.nn.utils.clip_grad_norm_(list(net.parameters()), 1.0)
    Optimizer(net, OptimizerConfig(name)).step(1.0)
print("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
