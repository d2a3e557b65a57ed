"""What is compiled ahead is what a step asks for."""

import threading
from dataclasses import asdict

import pytest
import torch

from revseg.network.compilation import compiled_meanwhile, tasks
from revseg.network.config import NetworkConfig
from revseg.network.network import RevSegNet
from revseg.network.step import training_step
from revseg.reversible.force.force import Layout
from revseg.reversible.kernels import dispatch
from revseg.training.config import LossConfig
from revseg.training.loss import SegmentationLoss

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CONFIGS = [
    NetworkConfig(levels=2, depth=(0, 1, 1)),
    NetworkConfig(levels=2, depth=1, rank=(8, 16, 16), coarsen_time=(False, True), evidence=True),
    NetworkConfig(levels=1, depth=1, channels=1, state_dtype="int16", adjoint_dtype="bfloat16"),
]


@pytest.fixture
def asked(monkeypatch) -> set:
    """What dispatch is asked; its answer is no, as on every CPU."""
    questions = set()

    def choose(layout: Layout, device: torch.device) -> str:
        questions.add((device, layout))
        return "convolution"

    def usable_for_haar(field, grid) -> bool:
        questions.add((field.device, field.shape[-1], field.dtype, grid.exact))
        return False

    for asking in ("revseg.reversible.context", "revseg.network.compilation"):
        monkeypatch.setattr(f"{asking}.choose", choose)
    monkeypatch.setattr(dispatch, "usable_for_haar", usable_for_haar)
    return questions


@pytest.mark.parametrize("config", CONFIGS)
def test_a_step_asks_for_what_was_compiled_ahead(asked, monkeypatch, config):
    net = RevSegNet(**asdict(config))
    volume = torch.randint(256, (1, config.inputs, 4, 8, 8), dtype=torch.uint8)
    training_step(net, volume, torch.zeros(1, 1, 8, 8, dtype=torch.long), (0,), SegmentationLoss(LossConfig()))
    in_a_step = set(asked)
    asked.clear()
    monkeypatch.setattr(dispatch, "available", lambda device: True)
    for task in tasks(config, CPU):
        task()
    assert asked == in_a_step != set()


def test_nothing_is_compiled_for_a_cpu():
    assert tasks(NetworkConfig(), CPU) == []


def test_compiled_at_the_end_of_the_block(monkeypatch):
    monkeypatch.setattr(dispatch, "available", lambda device: True)
    begun, done = threading.Event(), []

    def choose(layout: Layout, device: torch.device) -> str:
        assert begun.wait(10)  # only inside the block: it does not wait for its background
        done.append(layout)
        return "convolution"

    monkeypatch.setattr("revseg.network.compilation.choose", choose)
    monkeypatch.setattr(dispatch, "usable_for_haar", lambda field, grid: False)
    with compiled_meanwhile(NetworkConfig(levels=1, depth=1), CPU):
        assert not done
        begun.set()
    assert len(done) == 2


def test_an_error_in_the_block_gives_up_what_is_not_begun(monkeypatch):
    monkeypatch.setattr(dispatch, "available", lambda device: True)
    begun, done = threading.Event(), []

    def choose(layout: Layout, device: torch.device) -> str:
        assert begun.wait(10)
        done.append(layout)
        return "convolution"

    monkeypatch.setattr("revseg.network.compilation.choose", choose)
    monkeypatch.setattr(dispatch, "usable_for_haar", lambda field, grid: False)
    config = NetworkConfig(levels=9, depth=1, coarsen_time=False)

    def interrupted() -> None:
        with compiled_meanwhile(config, CPU):
            threading.Timer(0.3, begun.set).start()  # while the with block waits for those that are begun
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert 0 < len(done) < 10
