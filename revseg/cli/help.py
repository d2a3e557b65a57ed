"""The text of --help: every setting with its value and its documentation, read from the dataclasses'
source."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Callable
from typing import Any

from revseg.cli.settings import Settings

WIDTH = 110


def usage(
    program: str,
    function: Callable[..., Any],
    settings: Settings,
    positional: str | None,
    overrides: list[str],
) -> str:
    argument = f" [{positional.upper()}]" if positional else ""
    module = inspect.getmodule(function)
    parts = [f"usage: {program}{argument} [key=value ...] [--cfg job] [--help]", inspect.getdoc(module) or ""]
    if settings.groups:
        rows = [f"  {group}={'|'.join(options)}" for group, options in settings.groups.items()]
        parts.append("\n".join(["Groups of settings, from the folder configs/:", *rows]))
    parts.append("\n".join(["Settings, and their values in this composition:", *_settings(settings, overrides)]))
    parts.append("--cfg job prints the composed settings. HYDRA_FULL_ERROR=1 shows the traceback of an error.")
    return "\n\n".join(parts)


def _settings(settings: Settings, overrides: list[str]) -> list[str]:
    lines = []
    values = settings.values(overrides)
    for setting in settings.leaves.values():
        lines.append(f"  {setting.key}={_written(values[setting.key])}")
        text = documentation(setting.owner).get(setting.name, "")
        lines += textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def documentation(owner: type) -> dict[str, str]:
    """Name of a field -> the string that follows it in the source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[ast.unparse(field.target)] = str(following.value.value)
    return found


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
