"""The settings of an entry point: dataclasses own names, types and documentation, YAML files choose values.

`configs/<name>.yaml` is composed by Hydra on top of the dataclass; the result is an instance of the
dataclass. No OmegaConf type leaves this file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

PACKAGE = Path(__file__).parent.parent


def configs_folder() -> Path:
    """Inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


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
    def may_be_null(self) -> bool:
        return NoneType in _members(self.type)


class Settings:
    """What an entry point can be told."""

    def __init__(self, name: str, schema: type) -> None:
        self.name, self.schema = name, schema
        self.leaves = {setting.key: setting for setting in leaves(schema)}
        self.groups = {
            folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
            for folder in sorted(configs_folder().iterdir())
            if folder.name in self._defaults()
        }

    def _defaults(self) -> set[str]:
        """Names of the groups that the primary file lists."""
        listed = OmegaConf.select(OmegaConf.load(configs_folder() / f"{self.name}.yaml"), "defaults")
        return {str(group) for entry in listed if isinstance(entry, DictConfig) for group in entry}

    def knows(self, argument: str) -> bool:
        """Whether an argument starts with the name of a setting or group and an equals sign."""
        key, equals, _ = argument.lstrip("+~").partition("=")
        return bool(equals) and (key in self.leaves or key in self.groups)

    def override(self, argument: str) -> str:
        """An argument, checked and in Hydra's grammar."""
        key, equals, value = argument.partition("=")
        if not equals:
            raise ValueError(f"{argument!r} is not a setting; settings are written key=value, see --help")
        if key in self.groups:
            return f"{key}={self._option(key, value)}"
        if key not in self.leaves:
            raise ValueError(f"there is no setting {key!r}{_nearest(key, [*self.leaves, *self.groups])}; --help lists all")
        if self.leaves[key].is_text:
            return self.verbatim(key, value)
        # A list may be written 0,2,2,2 or (0,2,2,2) as well as [0,2,2,2]; bare commas are a sweep to Hydra.
        return _in_grammar(f"{key}=[{value.strip('()[]')}]" if "," in value else argument)

    def verbatim(self, key: str, text: str) -> str:
        """Text without any meaning to Hydra's grammar or to OmegaConf's interpolation."""
        if text == "null" and self.leaves[key].may_be_null:
            return f"{key}=null"
        without_interpolation = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
        return f"{key}={QuotedString(without_interpolation, Quote.single).with_quotes()}"

    def _option(self, group: str, option: str) -> str:
        if option not in self.groups[group]:
            raise ValueError(
                f"there is no {group}={option}{_nearest(option, self.groups[group])}; "
                f"choose one of {', '.join(self.groups[group])}"
            )
        return option

    def compose(self, overrides: list[str]) -> Any:
        """An instance of the schema."""
        composed = self._composed(overrides)
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing:
            raise ValueError(f"{missing[0]} is not set; give {missing[0]}=..., see --help")
        return OmegaConf.to_object(composed)

    def text(self, overrides: list[str]) -> str:
        """The composed settings as YAML."""
        return OmegaConf.to_yaml(self._composed(overrides))

    def values(self, overrides: list[str]) -> dict[str, Any]:
        """Of every setting; "???" where it must be given."""
        tree: Any = OmegaConf.to_container(self._composed(overrides))
        return {key: reduce(lambda node, name: node[name], key.split("."), tree) for key in self.leaves}

    def _composed(self, overrides: list[str]) -> DictConfig:
        ConfigStore.instance().store(name=f"{self.name}_schema", node=_writable(self.schema))
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(version_base="1.3", config_dir=str(configs_folder().resolve())):
                return compose(config_name=self.name, overrides=overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(_reason(error, overrides)) from error


def leaves(schema: type, prefix: str = "") -> Iterator[Setting]:
    """The settings of a dataclass and of the dataclasses in it, in the order of their definition."""
    types = get_type_hints(schema)
    for field in fields(schema):
        kind = types[field.name]
        if is_dataclass(kind):
            yield from leaves(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        else:
            yield Setting(prefix + field.name, kind, schema, field.name)


def to_yaml(config: Any) -> str:
    """Of a composed configuration."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def differences(file: Path, config: Any) -> dict[str, tuple[Any, Any]]:
    """What differs between a configuration saved by `to_yaml` and another: key -> (saved, other)."""
    saved, composed = OmegaConf.load(file), OmegaConf.structured(config)
    keys = [setting.key for setting in leaves(type(config))]
    values = {key: (OmegaConf.select(saved, key), OmegaConf.select(composed, key)) for key in keys}
    return {key: pair for key, pair in values.items() if pair[0] != pair[1]}


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _writable(schema: type) -> DictConfig:
    """OmegaConf makes the tree of a frozen dataclass read-only; composing has to write into it."""
    tree = OmegaConf.structured(schema)
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        OmegaConf.set_readonly(node, None)
        children = (node._get_node(key) for key in node) if isinstance(node, DictConfig) else ()
        waiting += [child for child in children if isinstance(child, DictConfig)]
    return tree


def _nearest(word: str, known: list[str]) -> str:
    """ ", did you mean ...?": by the whole key, or by its last part (`steps` for `training.steps`)."""
    by_last_part = [key for key in known if key.rpartition(".")[2] == word.rpartition(".")[2]]
    found = by_last_part or difflib.get_close_matches(word, known, 1)
    return f", did you mean {found[0]}" if found else ""


def _in_grammar(argument: str) -> str:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException as error:
        raise ValueError(f"{argument}: the value cannot be read; give a number, true, false, null or [a,b,c]") from error
    return argument


def _reason(error: BaseException, overrides: list[str]) -> str:
    """The first line of the innermost error, and the argument that it is about."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).strip().splitlines()[0].rstrip(".")
    key = getattr(error, "full_key", None)
    about = [text for text in overrides if text in str(error) or (key and text.startswith(f"{key}="))]
    return f"{about[-1]}: {first}; --help lists the settings and their types" if about else first
