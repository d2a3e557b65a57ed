"""The text of --help: every setting with its value and its documentation, read from the dataclasses' source."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from revseg.cli.command import Command
from revseg.cli.composition import Composition
from revseg.cli.settings import leaves

WIDTH = 110

FLAGS = """\
Flags:
  -m, --multirun          one run for every combination: training.steps=100,200 seed=range(3) network=choice(small,medium)
  --config-dir DIR        a folder of your own: DIR/experiment/mine.yaml is experiment=mine
  --config-name NAME      another primary file than {name}.yaml
  --cfg job|hydra|all     print the composed settings; --package NODE one node of them; --resolve with their values
  --info [all|config|defaults|defaults-tree|plugins|searchpath]
  --shell-completion      eval "$({program} -sc install=bash)"
  --hydra-help, --version, --help
hydra.run.dir=DIR, hydra.sweep.dir=DIR, hydra/launcher=NAME and every other setting of Hydra are taken as well.
HYDRA_FULL_ERROR=1 shows the traceback of an error."""


def usage(program: str, command: Command, composition: Composition, overrides: list[str]) -> str:
    """The whole text, for the settings as they are composed with these overrides."""
    tree = composition.compose(overrides)
    argument = f" [{command.positional.rpartition('.')[2].upper()}]" if command.positional else ""
    parts = [f"usage: {program}{argument} [key=value ...] [group=option ...] [flags]", _purpose(command)]
    if composition.groups:
        rows = [f"  {group}={'|'.join(options)}" for group, options in composition.groups.items()]
        parts.append("\n".join(["Groups of settings:", *rows]))
    parts.append("\n".join(["Settings, and their values in this composition:", *_settings(command, tree)]))
    chosen = [
        f"  {group}={choice}" for group, choice in reversed(tree.hydra.runtime.choices.items()) if not group.startswith("hydra/")
    ]
    parts.append("\n".join(["The defaults list; a later one wins (in full: --info defaults):", *chosen]))
    parts.append(FLAGS.format(program=program, name=command.name))
    return "\n\n".join(parts)


def _purpose(command: Command) -> str:
    """The docstring of the command's module, which is not imported."""
    return ast.get_docstring(ast.parse(command.source().read_text(encoding="utf-8"))) or ""


def _settings(command: Command, tree: DictConfig) -> Iterator[str]:
    for setting in leaves(command.settings()):
        node = OmegaConf.select(tree, setting.key) if not OmegaConf.is_missing(*_place(tree, setting.key)) else "???"
        value = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
        yield f"  {setting.key}={value if isinstance(value, str) else json.dumps(value)}"
        yield from paragraphs(documentation(setting.owner).get(setting.name, ""), indent=6)


def _place(tree: DictConfig, key: str) -> tuple[Any, str]:
    """The node that holds a setting, and its name there."""
    node, _, name = key.rpartition(".")
    return (OmegaConf.select(tree, node) if node else tree), name


def paragraphs(text: str, indent: int) -> Iterator[str]:
    """The text in lines of their own width; its source's line breaks are none of its own."""
    margin = " " * indent
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield from textwrap.wrap(
            " ".join(paragraph.split()),
            WIDTH,
            initial_indent=margin,
            subsequent_indent=margin,
            break_on_hyphens=False,
            break_long_words=False,
        )


def documentation(owner: type) -> dict[str, str]:
    """Name of a field -> the string that follows it in the source, of the class itself or of one that it takes over."""
    found: dict[str, str] = {}
    for kind in reversed(owner.__mro__[:-1]):
        found |= _documented(inspect.getfile(kind)).get(kind.__name__, {})
    return found


@cache
def _documented(file: str) -> dict[str, dict[str, str]]:
    """Returns the documentation of every class of a file."""
    with open(file, encoding="utf-8") as source:
        module = ast.parse(source.read())
    found: dict[str, dict[str, str]] = {}
    for definition in ast.walk(module):
        if isinstance(definition, ast.ClassDef):
            texts = found.setdefault(definition.name, {})
            for field, following in zip(definition.body, definition.body[1:], strict=False):
                text = following.value if isinstance(following, ast.Expr) else None
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Constant):
                    texts[ast.unparse(field.target)] = str(text.value)
    return found
