"""The arrangement that a training takes, and keeps when it goes on."""

from dataclasses import replace

import pytest
import torch

from revseg.network.config import NetworkConfig
from revseg.training.budget import arrange
from revseg.training.checkpoint import Checkpoint
from revseg.training.trainer import TrainingConfig

CPU, SIZE = torch.device("cpu"), (64, 240, 427)


def test_a_budget_is_kept_to():
    network, forecast = arrange(NetworkConfig(), SIZE, 4, TrainingConfig(memory_budget=0.45), CPU, None)
    assert forecast.total <= 0.45e9
    assert network.state_dtype == "int16"


def test_nothing_fits():
    with pytest.raises(ValueError, match="training.memory_budget"):
        arrange(NetworkConfig(), SIZE, 4, TrainingConfig(memory_budget=0.01), CPU, None)


def test_a_run_that_goes_on_keeps_its_arrangement():
    begun = replace(NetworkConfig(), state_dtype="int16", slab_bytes=1 << 20)
    saved = Checkpoint(begun, {}, None, {}, 1, 1.0, None, None)
    network, _ = arrange(NetworkConfig(), SIZE, 4, TrainingConfig(memory_budget=100), CPU, saved)
    assert network == begun
