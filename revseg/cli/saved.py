"""Reads the settings of a run as data: what another person's config.yaml says is a value, and looks nothing up."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf

LARGEST = 1 << 18
"""Bytes. Those that are written have some 5,000."""

REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
"""A ${ that is not made text by a backslash before it (``without_interpolation``)."""


def read_saved(file: Path, *, references: bool = False) -> DictConfig:
    """Returns the tree of a saved configuration. Raises ValueError in one sentence where it is none.

    ${oc.env:NAME} in it would read this user's environment, and a list of ten times a list of ten times ... would fill memory:
    revseg writes neither. references: whether ${ is let through, as in Hydra's own files; who calls must not resolve it.
    """
    remedy = "restore it, or choose another run_dir="
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file} has more than {LARGEST:,} bytes, which no saved settings have; {remedy}")
    try:
        text = file.read_text(encoding="utf-8")
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"{file} refers to itself (*{event.anchor}), which no saved settings do; {remedy}")
            if not references and isinstance(event, yaml.ScalarEvent) and REFERENCE.search(event.value):
                raise ValueError(f"{file} says {event.value[:60]!r}, which asks for a value and is none; {remedy}")
        # After the beginnings of the stream and of its document.
        tree = OmegaConf.create(text) if [type(event) for event in events[2:3]] == [yaml.MappingStartEvent] else None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read as YAML; {remedy}") from error
    if not isinstance(tree, DictConfig):
        raise ValueError(f"{file} has no settings by their names; {remedy}")
    return tree


def experiment_of(file: Path) -> object:
    """Returns the experiment that a run was begun with, from what Hydra saved; None where it names none."""
    node: object = OmegaConf.to_container(read_saved(file, references=True), resolve=False)
    for name in ("hydra", "runtime", "choices", "experiment"):
        node = node.get(name) if isinstance(node, dict) else None
    return node
