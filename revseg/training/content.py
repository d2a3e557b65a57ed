"""What has to be in a checkpoint, checked before anything is made of it: each problem is one sentence with the file's name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import torch

from revseg.network.config import NetworkConfig
from revseg.network.plan import weight_shapes
from revseg.training.archive import Outline

REMEDY = "take a whole copy of it, or train again"


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


def _number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf  # type: ignore[operator]


def _or_none(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _names(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _rounds(value: object) -> bool:
    kinds = {"start": _whole(0), "seconds": _number, "labels": _or_none(_is_text), "label_count": _or_none(_whole(0))}
    return isinstance(value, list) and all(
        _names(each) and each.keys() == kinds.keys() and all(kinds[name](each[name]) for name in kinds) for each in value
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _tree(value: object) -> bool:
    return _names(value) and all(_tree(each) for each in value.values() if isinstance(each, dict))  # type: ignore[attr-defined]


KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "network": ("settings by their names", _names),
    "weights": ("tensors by their names", lambda value: _names(value) and all(isinstance(v, Outline) for v in value.values())),  # type: ignore[attr-defined]
    "optimizer": ("the state of an optimizer", _names),
    "step": ("a whole number of 0 or more", _whole(0)),
    "seconds": ("a number of 0 or more", _number),
    "height": ("a whole number above 0, or nothing", _or_none(_whole(1))),
    "label_count": ("a whole number of 0 or more, or nothing", _or_none(_whole(0))),
    "end": ("a whole number of 0 or more, or nothing", _or_none(_whole(0))),
    "inverted": ("a whole number of 0 or more", _whole(0)),
    "losses": ("a list of numbers", lambda value: isinstance(value, list) and all(type(v) is float for v in value)),
    "rounds": ("a list of rounds", _rounds),
    "recipe": ("settings by their names", _tree),
}
"""Field of a checkpoint -> what it has to be, in words and as a check."""


def check_fields(content: Mapping[str, Any], known: tuple[Field[Any], ...], path: Path) -> None:
    """Raises ValueError where a field is missing, of another kind, or of a version that is newer than this one."""
    _check_known(content, {field.name for field in known} | {"format", "version"}, what="field", path=path)
    for field in known:
        needed = field.default is MISSING and field.default_factory is MISSING
        if field.name not in content:
            if needed:
                raise ValueError(f"{path} is damaged: it has no {field.name!r}; {REMEDY}")
            continue
        kind, is_right = KINDS[field.name]
        if not is_right(content[field.name]):
            raise ValueError(f"{path} is damaged: its {field.name!r} is {_short(content[field.name])}, not {kind}; {REMEDY}")


def network_config(saved: Mapping[str, Any], path: Path) -> NetworkConfig:
    """Returns the settings of the network. Raises ValueError where they are none, or those of a newer version."""
    types = get_type_hints(NetworkConfig)
    _check_known(saved, set(types), what="setting of the network", path=path)
    for name, value in saved.items():
        if types[name] is Any:  # one value or several: NetworkConfig says which
            right = all(type(each) in (int, bool) for each in (value if isinstance(value, (list, tuple)) else [value]))
        else:
            kinds = {kind if isinstance(kind, type) else NoneType for kind in get_args(types[name]) or (types[name],)}
            right = type(value) in (kinds | {int} if float in kinds else kinds)
        if not right:
            raise ValueError(f"{path} is damaged: its network.{name} is {_short(value)}; {REMEDY}")
    try:
        return NetworkConfig(**saved)
    except ValueError as error:
        raise ValueError(f"{path} is of no use: {error}") from error


def check_weights(weights: Mapping[str, Outline], config: NetworkConfig, path: Path) -> None:
    """Raises ValueError where the tensors are not those of the network, by name, shape and kind. Allocates none."""
    # First by their number: settings may ask for more blocks than could ever be listed.
    expected = weight_shapes(config) if sum(config.depths) <= len(weights) else {}
    for name in (*expected, *weights):
        if name not in weights or name not in expected:
            which = "no" if name in expected else "a"
            raise ValueError(
                f"{path} is damaged: it has {which} tensor {_short(name)}, unlike the network of its settings; {REMEDY}"
            )
        if (found := (weights[name].dtype, weights[name].shape)) != (torch.float32, expected[name]):
            told, right = (f"{kind} {shape}".removeprefix("torch.") for kind, shape in (found, (torch.float32, expected[name])))
            raise ValueError(f"{path} is damaged: its {_short(name)} is {told}, not {right}; {REMEDY}")


def _check_known(given: Mapping[str, Any], known: set[str], *, what: str, path: Path) -> None:
    if strange := [name for name in given if name not in known]:
        names = ", ".join(map(_short, strange[:3]))
        raise ValueError(
            f"{path} has the {what} {names}, which this revseg does not know; if a newer one wrote {path.name}, use that"
        )


def _short(value: object) -> str:
    text = (
        repr(value)
        if isinstance(value, (str, int, float, NoneType))
        else f"a {'dict' if isinstance(value, dict) else type(value).__name__}"
    )
    return text if len(text) <= 60 else f"{text[:57]}..."
