"""Samples of a dataset, made ahead."""

from contextlib import closing
from pathlib import Path

import pytest
import torch

from revseg.tasks.dataset import Davis
from revseg.tasks.source import DataConfig
from revseg.training.feed import made_ahead


def test_flow_takes_all_cores_where_samples_are_made_on_one(davis_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_num_threads", lambda: 3)
        davis = Davis(DataConfig(root=str(davis_root), height=24, max_frames=3), classes=2, seed=0, offsets=1)
    with closing(made_ahead(lambda index: made(davis, index), first=0, ahead=1, device=torch.device("cpu"))) as items:
        assert next(items) == (1, 3)


def made(davis: Davis, index: int) -> tuple[int, int]:
    """Threads of PyTorch, and of flow."""
    return torch.get_num_threads(), davis.flow(davis.training, davis.sample(index)).threads
