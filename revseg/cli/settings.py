"""The settings of a command: dataclasses own names, types and documentation, a saved config.yaml keeps their values.

No OmegaConf type leaves this file but the tree that Hydra composes in (`writable`, `instance`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from revseg.cli.saved import read_saved

Config = TypeVar("Config")


@dataclass(frozen=True)
class Setting:
    """One leaf of the tree."""

    key: str
    type: Any
    owner: type
    name: str

    @property
    def is_text(self) -> bool:
        return set(_members(self.type)) <= {str, NoneType}

    @property
    def is_list(self) -> bool:
        return any(get_origin(member) is list for member in _members(self.type))

    @property
    def may_be_null(self) -> bool:
        return NoneType in _members(self.type)


def leaves(schema: type, prefix: str = "") -> Iterator[Setting]:
    """The settings of a dataclass and of the dataclasses in it, in the order of their definition."""
    types = get_type_hints(schema)
    for field in fields(schema):
        kind = types[field.name]
        if is_dataclass(kind):
            yield from leaves(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        else:
            yield Setting(prefix + field.name, kind, schema, name=field.name)


def covers(given: Iterable[str], key: str) -> bool:
    """Whether one of the names that were typed is this setting, or a group or node that it lies in."""
    return any(key == name or key.startswith(f"{name}.") for name in given)


def writable(schema: type) -> DictConfig:
    """OmegaConf makes the tree of a frozen dataclass read-only; composing has to write into it."""
    return _writable(OmegaConf.structured(schema))


def instance(tree: DictConfig, schema: type[Config]) -> Config:
    """An instance of the dataclass with the values of a composed tree.

    Raises ValueError where a setting that has to be given is not, and for one that does not exist.
    """
    # A primary file of the user's need not name our schema; merging checks its keys and types.
    typed = tree
    if OmegaConf.get_type(tree) is not schema:
        typed = writable(schema)
        typed.merge_with(tree)
    if strange := next(_strangers(typed, schema), None):
        raise ValueError(
            f"there is no setting {strange!r}{nearest(strange, (leaf.key for leaf in leaves(schema)))}; --help lists all"
        )
    if missing := sorted(OmegaConf.missing_keys(typed)):
        raise ValueError(f"{missing[0]} is not set; give {missing[0]}=..., see --help")
    config: Config = OmegaConf.to_object(typed)  # type: ignore[assignment]
    return config


def to_yaml(config: Any) -> str:
    """The text of a config.yaml with all values of a configuration."""
    return OmegaConf.to_yaml(_tree(config, {}))


def differences(file: Path, config: Any) -> dict[str, tuple[Any, Any]]:
    """What differs between a configuration saved by `to_yaml` and another: key -> (saved, other)."""
    saved, composed = read_saved(file), _tree(config, {})
    keys = [setting.key for setting in leaves(type(config))]
    values = {key: (OmegaConf.select(saved, key), OmegaConf.select(composed, key)) for key in keys}
    return {key: pair for key, pair in values.items() if pair[0] != pair[1]}


def merged(config: Config, saved: Path, keys: Iterable[str]) -> Config:
    """The configuration with the values of these settings taken from a saved config.yaml, where it has them."""
    file, absent = read_saved(saved), object()
    values = {key: OmegaConf.select(file, key, default=absent) for key in keys}
    try:
        return updated(config, {key: value for key, value in values.items() if value is not absent})
    except OmegaConfBaseException as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{saved}: {getattr(error, 'full_key', None) or 'a setting'}: {first}; restore it, or choose another run_dir="
        ) from error


def updated(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values of some settings: key -> value."""
    return instance(_tree(config, values), type(config))


def without_interpolation(text: str) -> str:
    """What OmegaConf reads as exactly this text: ${ in it refers to nothing."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean ...": by the whole key, or by its last part: of several such, one with the fewest parts."""
    known = list(known)
    alike = (key for key in known if key.rpartition(".")[2] == word.rpartition(".")[2])
    by_last_part = sorted(alike, key=lambda key: key.count("."))
    found = by_last_part or difflib.get_close_matches(word, known, n=1)
    return f", did you mean {found[0]}" if found else ""


def _strangers(tree: DictConfig, schema: type, prefix: str = "") -> Iterator[str]:
    """Keys that were added to the tree and that the dataclass does not have."""
    types = get_type_hints(schema)
    for key in map(str, tree):
        kind = types.get(key)
        if kind is None:
            yield prefix + key
        elif isinstance(kind, type) and is_dataclass(kind) and isinstance(node := tree._get_node(key), DictConfig):
            yield from _strangers(node, kind, f"{prefix}{key}.")


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _tree(config: Any, values: Mapping[str, Any]) -> DictConfig:
    """The values of a configuration, but for some others; ${ in a text is text."""
    tree = writable(type(config))
    for setting in leaves(type(config)):
        value = values[setting.key] if setting.key in values else reduce(getattr, setting.key.split("."), config)
        OmegaConf.update(tree, setting.key, without_interpolation(value) if isinstance(value, str) else value, merge=False)
    return tree


def _writable(tree: DictConfig) -> DictConfig:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        OmegaConf.set_readonly(node, None)
        children = (node._get_node(key) for key in node)
        waiting += [child for child in children if isinstance(child, DictConfig)]
    return tree
