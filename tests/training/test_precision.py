"""The precision of convolutions on a CPU: a trial decides, and its answer is kept."""

import json

import pytest
import torch

from revseg.network import network as networks
from revseg.network.config import NetworkConfig
from revseg.network.network import RevSegNet
from revseg.training import precision
from revseg.training.checkpoint import Checkpoint, network_from, precision_of
from revseg.training.precision import Trial, choose_precision, try_out

CPU = torch.device("cpu")
CONFIG = NetworkConfig(channels=1, levels=1, depth=(0, 1), rank=2, state_dtype="int16", adjoint_dtype="float16")
SIZE = (4, 8, 8)


@pytest.fixture
def capable(monkeypatch, tmp_path):
    """A processor with instructions for bfloat16, and a home of its own."""
    monkeypatch.setattr(networks, "fast_convolution_dtype", lambda: torch.bfloat16)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "revseg" / "precision"


def counted(monkeypatch):
    tried = []

    def count(config, size):
        tried.append(config)
        return Trial({"float32": 1.0, "bfloat16": 2.0})

    monkeypatch.setattr(precision, "try_out", count)
    return tried


def test_a_trial_times_both():
    found = try_out(CONFIG, SIZE)
    assert set(found.seconds) == {"float32", "bfloat16"}
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert found.seconds[found.fastest] == min(found.seconds.values())


def test_the_trial_decides_and_is_not_repeated(capable, monkeypatch, caplog):
    tried = counted(monkeypatch)
    with caplog.at_level("INFO", "revseg"):
        assert choose_precision(CONFIG, SIZE, CPU) == torch.float32
    assert "convolutions in float32, by a trial" in caplog.text
    assert choose_precision(CONFIG, SIZE, CPU) == torch.float32
    assert len(tried) == 1
    (path,) = capable.iterdir()
    path.write_text(json.dumps({"float32": 2.0, "bfloat16": 1.0}))
    assert choose_precision(CONFIG, SIZE, CPU) == torch.bfloat16


@pytest.mark.parametrize("content", ["", "[]", '{"float32": 1.0}', '{"float32": "1", "bfloat16": 1.0}'])
def test_what_cannot_be_read_is_measured_again(content, capable, monkeypatch):
    tried = counted(monkeypatch)
    choose_precision(CONFIG, SIZE, CPU)
    (path,) = capable.iterdir()
    path.write_text(content)
    assert choose_precision(CONFIG, SIZE, CPU) == torch.float32
    assert len(tried) == 2


def test_a_home_that_cannot_be_written_is_no_obstacle(capable, monkeypatch):
    tried = counted(monkeypatch)
    capable.parent.write_text("a file where the folder should be")
    assert [choose_precision(CONFIG, SIZE, CPU) for _ in range(2)] == [torch.float32] * 2
    assert len(tried) == 2


def test_other_shapes_threads_and_versions_are_measured_on_their_own(capable, monkeypatch):
    tried = counted(monkeypatch)
    choose_precision(CONFIG, SIZE, CPU)
    choose_precision(CONFIG, (4, 16, 8), CPU)
    monkeypatch.setattr(torch, "__version__", "0")
    choose_precision(CONFIG, SIZE, CPU)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    choose_precision(CONFIG, SIZE, CPU)
    assert len(tried) == 4


@pytest.mark.parametrize(
    "settings",
    [{"convolution_dtype": "bfloat16"}, {"convolution_dtype": "float32"}, {"arithmetic": "float", "state_dtype": "float32"}],
)
def test_what_the_settings_say_needs_no_trial(settings, capable, monkeypatch):
    tried = counted(monkeypatch)
    config = NetworkConfig(levels=1, depth=(0, 1), rank=2, **settings)
    assert choose_precision(config, SIZE, CPU) == getattr(torch, settings.get("convolution_dtype", "float32"))
    assert not tried


def test_a_processor_without_bfloat16_needs_no_trial(capable, monkeypatch):
    tried = counted(monkeypatch)
    monkeypatch.setattr(networks, "fast_convolution_dtype", lambda: torch.float32)
    assert choose_precision(CONFIG, SIZE, CPU) == torch.float32
    assert not tried


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [({"convolutions": {"cpu": "float32"}}, torch.float32), ({"convolutions": {"cuda": "float32"}}, torch.bfloat16),
     ({}, torch.bfloat16), ({"convolutions": 3}, torch.bfloat16), ({"convolutions": {"cpu": "int8"}}, torch.bfloat16)],
)  # fmt: skip
def test_a_checkpoint_keeps_the_precision_of_its_device(recipe, expected, capable):
    net = RevSegNet(channels=1, levels=1, depth=(0, 1), rank=2)
    saved = Checkpoint(
        network=net.config, weights=net.state_dict(), optimizer={}, step=1, seconds=1.0, height=None, recipe=recipe
    )
    assert network_from(saved, CPU).sequence.convolution_dtype == expected
    assert precision_of(saved, CPU) == (expected if expected == torch.float32 else None)
