"""The device of each process. Without a GPU at hand the choice alone is tried."""

from __future__ import annotations

import pytest

from revseg.config import TrainConfig
from revseg.parallel.agreement import leaves, own_device


@pytest.mark.parametrize(
    ("name", "local_rank", "seen", "device"),
    [
        ("auto", 3, 0, "cpu"),
        ("cpu", 3, 8, "cpu"),
        ("auto", 3, 8, "cuda:3"),
        ("cuda", 0, 8, "cuda:0"),
        ("auto", 3, 1, "cuda:0"),  # the launcher shows each process its own GPU alone
    ],
)
def test_each_process_has_a_device_of_its_own(name: str, local_rank: int, seen: int, device: str) -> None:
    assert own_device(name, local_rank, seen) == device


@pytest.mark.parametrize(
    ("name", "local_rank", "seen", "sentence"),
    [
        ("auto", 2, 2, "process 2 of .* has no GPU, of which there are 2"),
        ("cuda", 0, 0, "process 0 of .* has no GPU, of which there are 0"),
        ("cuda:1", 0, 4, "device is cuda:1, but each of the processes takes a GPU of its own"),
    ],
)
def test_a_process_without_its_gpu(name: str, local_rank: int, seen: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        own_device(name, local_rank, seen)


def test_settings_by_their_names() -> None:
    found = leaves(TrainConfig(seed=7))
    assert found["seed"] == "7"
    assert found["training.optimizer.name"] == "muon"
