"""The arrangement that a training takes, and keeps when it goes on."""

from dataclasses import replace

import pytest
import torch

from revseg.network.config import NetworkConfig
from revseg.network.memory import Forecast
from revseg.training.budget import arrange
from revseg.training.checkpoint import Checkpoint
from revseg.training.config import TrainingConfig

CPU, SIZE = torch.device("cpu"), (64, 240, 427)


def arranged(gigabytes: float, saved: Checkpoint | None = None) -> tuple[NetworkConfig, Forecast]:
    training = TrainingConfig(memory_budget=gigabytes)
    return arrange(NetworkConfig(), SIZE, labelled_frames=4, training=training, device=CPU, saved=saved)


def test_a_budget_is_kept_to():
    network, forecast = arranged(0.45)
    assert forecast.total <= 0.45e9
    assert network.state_dtype == "int16"


def test_nothing_fits():
    with pytest.raises(ValueError, match="training.memory_budget"):
        arranged(0.01)


def test_a_run_that_goes_on_keeps_its_arrangement():
    begun = replace(NetworkConfig(), state_dtype="int16", slab_bytes=1 << 20)
    saved = Checkpoint(network=begun, weights={}, optimizer={}, step=1, seconds=1.0, height=None)
    network, _ = arranged(100, saved)
    assert network == begun
