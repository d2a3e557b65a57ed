"""From what one would type after revseg-train to its configuration."""

from __future__ import annotations

from collections.abc import Iterable

from revseg.cli.composition import Composition, without_hydra
from revseg.cli.main import TRAIN
from revseg.cli.settings import instance, leaves
from revseg.cli.words import Translation, read_words
from revseg.config import TrainConfig


def compose(arguments: Iterable[str]) -> TrainConfig:
    """Raises ValueError in one sentence where an argument is wrong."""
    words = read_words(list(arguments))
    composition = Composition(TRAIN, words.flags)
    translation = Translation({leaf.key: leaf for leaf in leaves(TrainConfig)}, composition.groups, None)
    return instance(without_hydra(composition.compose(translation.overrides(words))), TrainConfig)
