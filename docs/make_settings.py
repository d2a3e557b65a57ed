"""Writes docs/reference/settings.md from the dataclasses of the settings and the files of configs/.

    python docs/make_settings.py            # after a change of a setting
    python docs/make_settings.py --check    # exit status 1 where the page is not up to date

Names, types and documentation come from the dataclasses, default values from what the commands compose.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from revseg.cli.command import Command
from revseg.cli.composition import Composition, without_hydra
from revseg.cli.help import documentation
from revseg.cli.main import EVALUATE, LABEL, PREDICT, RUNS_LISTED, TRAIN
from revseg.cli.settings import Setting, leaves
from revseg.cli.words import read_words

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "settings.md"
CONFIGS = ROOT / "configs"

HEAD = """\
# Settings

<!-- Made by docs/make_settings.py: change the dataclasses or configs/, not this page. -->

A setting is given as `key=value` behind a command. The column *value* is what a command takes without any setting; an option of a
[group](#options-of-the-groups) changes several at once. `revseg-train --help` prints the same, with the values of what you type.
"""

COMMANDS = (
    (TRAIN, "revseg-train, revseg-plan", ""),
    (PREDICT, "revseg-predict", "evidence"),
    (EVALUATE, "revseg-evaluate", ""),
    (RUNS_LISTED, "revseg-runs", ""),
)
"""Command, heading, and the node whose settings are as in revseg-train."""

OF_THE_GROUPS = """\
## Options of the groups

`group=option` takes one of these files. What a file does not say stays as it is.
[An own experiment](../howto/own_experiment.md) shows how to add files of your own.
"""

AS_IN_TRAINING = """\
### {node}

The settings `{node}.*` of revseg-train. What is not given is as it was in the training.
"""

WORDS = {
    "list[str]": "list of texts",
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Any": "value or list",
}


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for command, title, as_in_training in COMMANDS:
        parts.append(f"## {title}\n")
        parts += sections(command.settings(), composed(command), as_in_training)
    known = {setting.key for setting in leaves(TRAIN.settings())}
    own = [setting for setting in leaves(LABEL.settings()) if setting.key not in known]
    parts.append(f"## revseg-label\n\nThe settings of revseg-train, for its trainings, and:\n\n{table(own, composed(LABEL))}")
    return "\n".join([*parts, OF_THE_GROUPS, *options()]).rstrip() + "\n"


def composed(command: Command) -> dict[str, Any]:
    """The settings of a command that is given none."""
    tree = without_hydra(Composition(command, read_words([]).flags).compose([]))
    found: dict[str, Any] = OmegaConf.to_container(tree)  # type: ignore[assignment]
    return found


def sections(schema: type, values: dict[str, Any], as_in_training: str) -> Iterator[str]:
    """A table for each dataclass, in the order of their definition."""
    for node, settings in groupby(leaves(schema), key=lambda setting: setting.key.rpartition(".")[0]):
        if as_in_training and node.split(".")[0] == as_in_training:
            continue
        listed = list(settings)
        if node:
            yield f"### {node}\n\n{inspect.getdoc(listed[0].owner)}\n"
        yield table(listed, values)
    if as_in_training:
        yield AS_IN_TRAINING.format(node=as_in_training)


def table(settings: Iterable[Setting], values: dict[str, Any]) -> str:
    """Markdown rows of settings."""
    lines = ["| setting | value | type | meaning |", "|---|---|---|---|"]
    for setting in settings:
        value = reduce(lambda node, name: node[name], setting.key.split("."), values)
        text = documentation(setting.owner).get(setting.name, "")
        lines.append(f"| `{setting.key}` | {written(value)} | {kind(setting)} | {cell(text)} |")
    return "\n".join(lines) + "\n"


def written(value: Any) -> str:
    """A value as it is typed; what has to be given is said so."""
    if value == "???":
        return "to be given"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def kind(setting: Setting) -> str:
    """The type of a setting in words."""
    name = setting.type.__name__ if isinstance(setting.type, type) else str(setting.type).removeprefix("typing.")
    names = [WORDS.get(part.strip(), part.strip()) for part in name.split("|") if part.strip() != "None"]
    return " or ".join(names) + (" or null" if setting.may_be_null else "")


def cell(text: str) -> str:
    """Text on one line of a table, without a meaning to Markdown."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def options() -> Iterator[str]:
    """Every file of every group."""
    for folder in sorted(path for path in CONFIGS.iterdir() if path.is_dir()):
        yield f"### {folder.name}\n"
        for file in sorted(folder.glob("*.yaml")):
            yield f"`{folder.name}={file.stem}`\n\n```yaml\n{file.read_text(encoding='utf-8').strip()}\n```\n"


def main() -> None:
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"make_settings: {PAGE.relative_to(ROOT)} is not up to date; run python docs/make_settings.py")


if __name__ == "__main__":
    main()
