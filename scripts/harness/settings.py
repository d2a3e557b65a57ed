"""From what one would type after revseg-train to its configuration."""

from __future__ import annotations

from collections.abc import Iterable

from revseg.cli.configured import configured
from revseg.cli.main import TRAIN
from revseg.config import TrainConfig


def compose(arguments: Iterable[str]) -> TrainConfig:
    """Raises ValueError in one sentence where an argument is wrong."""
    config, _ = configured(TRAIN, list(arguments))
    assert isinstance(config, TrainConfig)
    return config
