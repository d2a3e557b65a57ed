"""The settings of a command by the words of its command line, for those who call it from Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase

from revseg.cli.command import Command
from revseg.cli.composition import Composition, without_hydra
from revseg.cli.settings import instance, leaves
from revseg.cli.words import Translation, names_in, read_words


def configured(command: Command, words: Sequence[str]) -> tuple[Any, frozenset[str]]:
    """Returns the settings, and the names of those that the words give. Raises ValueError in one sentence for what is none."""
    read = read_words(list(words))
    with _hydra_as_it_was():
        composition = Composition(command, read.flags)
        known = {leaf.key: leaf for leaf in leaves(command.settings())}
        translation = Translation(known, composition.groups, command.positional, several=command.several)
        overrides = translation.overrides(read)
        return instance(without_hydra(composition.compose(overrides)), command.settings()), names_in(overrides)


@contextmanager
def _hydra_as_it_was() -> Iterator[None]:
    """Leaves Hydra to a program that uses it itself as it was."""
    hydra, version = GlobalHydra.instance().hydra, VersionBase.instance().version_base
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, VersionBase.instance().version_base = hydra, version
