"""The words of a command line, as they are typed, in Hydra's grammar.

    revseg-train experiment=davis training.steps=500      settings and groups
    revseg-predict "my video, take 2.mp4" data.height=96  a file; what follows -- is one in any case
    revseg-predict a.mp4 b.mp4                            several files
    revseg-train -m training.steps=100,200                a sweep: values are Hydra's grammar

The value of a setting that is text is taken up to the end of the argument: a file name needs no quotes beyond
the shell's. Hydra reads everything else.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from revseg.cli.settings import Setting, nearest, without_interpolation

# What has a meaning in the value of a sweep; a text without any of these is taken as it is there, too.
SWEEP_GRAMMAR = re.compile(r"[,()\[\]{}'\"\\$]")

KEYWORDS = {"from": "from_run", "output": "output.folder"}
"""What may be typed for a setting: a word of Python, which no setting can have as its name, and the folder of the results."""

SWEEP_FUNCTION = re.compile(r"\s*(range|interval|choice|glob|shuffle|sort|tag)\s*\(")


@dataclass(frozen=True)
class Words:
    """A command line: Hydra's flags, the words that are no flags, and those after -- that are files."""

    flags: Namespace
    words: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def sweeps(self) -> bool:
        """Whether the values are in the grammar of a sweep."""
        modes = [word for word in self.words if word.startswith("hydra.mode=")]
        return self.flags.multirun or modes[-1:] == ["hydra.mode=MULTIRUN"]

    def for_hydra(self, overrides: Iterable[str]) -> list[str]:
        """The arguments that Hydra is to read: its flags first, so that it finds all overrides behind them."""
        given = {name.replace("_", "-"): value for name, value in vars(self.flags).items() if value}
        flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()]
        return [*flags, "--", *overrides]


def read_words(arguments: list[str]) -> Words:
    """Splits the arguments of a command. Flags may stand before, between and after the settings."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    _own_version(parser)
    flags = parser.parse_intermixed_args(arguments[:end])
    words = tuple(flags.overrides)
    del flags.overrides
    return Words(flags, words, tuple(arguments[end + 1 :]))


def _refuse(message: str) -> NoReturn:
    raise ValueError(f"{message.replace('unrecognized arguments:', 'unknown option')}; --help lists the options")


def _own_version(parser: ArgumentParser) -> None:
    """--version tells ours; argparse would print Hydra's and leave."""
    (action,) = (action for action in parser._actions if action.dest == "version")
    parser._remove_action(action)
    del parser._option_string_actions["--version"]
    parser.add_argument("--version", action="store_true")


@dataclass(frozen=True)
class Translation:
    """From words to Hydra's overrides, for the settings and groups of one command."""

    leaves: Mapping[str, Setting]
    groups: Mapping[str, list[str]]
    positional: str | None
    several: str | None = None
    """The setting for several bare words."""

    def overrides(self, words: Words) -> list[str]:
        """Raises ValueError for a word that is no setting of this command."""
        settings = [word for word in words.words if not self._is_file(word)]
        files = [word for word in words.words if self._is_file(word)]
        count = len(files) + len(words.files)
        if count > (1 if self.positional else 0) and not self.several:
            room = "give one, in quotes if its name has spaces" if self.positional else "settings are written key=value"
            raise ValueError(f"did not expect the arguments {', '.join(map(repr, [*files, *words.files]))}; {room}")
        found = [self.override(self._in_full(word), sweeps=words.sweeps) for word in settings]
        if count > 1:
            return [*found, f"{self.several}=[{','.join(map(quoted, [*files, *words.files]))}]"]
        if files and words.sweeps and SWEEP_GRAMMAR.search(files[0]):
            return [*found, f"{self.positional}={files[0]}"]
        return found + [f"{self.positional}={quoted(file)}" for file in (*files, *words.files)]

    def _is_file(self, word: str) -> bool:
        """A bare word, or one with = that no setting has and that exists."""
        key, equals, _ = self._in_full(word).partition("=")
        if self.positional is None or self._knows(key):
            return False
        return not equals or Path(word).exists()

    def _in_full(self, word: str) -> str:
        """The word with the name of its setting, where another one may be typed."""
        key, equals, value = word.partition("=")
        name = KEYWORDS.get(key, key)
        return f"{name}{equals}{value}" if name in self.leaves else word

    def _knows(self, key: str) -> bool:
        name = key.lstrip("+~").partition("@")[0]
        return name.startswith(("hydra.", "hydra/")) or name in self.leaves or name in self.groups or self._is_node(name)

    def _is_node(self, name: str) -> bool:
        return any(key.startswith(f"{name}.") for key in self.leaves)

    def override(self, word: str, *, sweeps: bool = False) -> str:
        """One word, checked and in Hydra's grammar."""
        key, equals, value = word.partition("=")
        if not equals and not key.startswith("~"):
            raise ValueError(f"{word!r} is not a setting; settings are written key=value, see --help")
        # A key with + may be a group that only the user's own files know; Hydra says if it is not.
        if not self._knows(key) and not key.startswith("+"):
            name = key.lstrip("~")
            file = " (a file of this name goes after --)" if self.positional else ""
            raise ValueError(f"there is no setting {name!r}{nearest(name, [*self.leaves, *self.groups])}; --help lists all{file}")
        setting = self.leaves.get(key.lstrip("+~"))
        if setting is not None and key.startswith("~"):
            raise ValueError(
                f"{word}: a setting cannot be taken away; give it a value{' or null' if setting.may_be_null else ''}"
            )
        group = key.lstrip("+~").partition("@")[0] in self.groups
        if not sweeps and (SWEEP_FUNCTION.match(value) or group and "," in value) and not (setting and setting.is_text):
            raise ValueError(f"{word} asks for several runs; add -m, or give one value")
        if setting is None:
            if not group and self._is_node(key) and not value.lstrip().startswith(("{", "$")):
                inner = next(name for name in self.leaves if name.startswith(f"{key}."))
                raise ValueError(f"{word}: {key} has settings in it, such as {inner}; give these, --help lists all")
            return word
        if setting.is_text:
            return self._text(f"{key}=", value, sweeps=sweeps)
        # A list may be written 0,2,2,2 or (0,2,2,2) as well as [0,2,2,2], and one of a single value without brackets; bare commas
        # are a sweep to Hydra. [[0,1],[2,3]] is one.
        several = "," in value or (setting.is_list and value != "null" and not value.startswith("$"))
        bare = several and not sweeps and not value.startswith(("{", "[["))
        return _in_grammar(f"{key}=[{value.strip('()[]')}]" if bare else word)

    def _text(self, start: str, text: str, *, sweeps: bool = False) -> str:
        """Text without any meaning to Hydra's grammar or to OmegaConf's interpolation."""
        if sweeps and SWEEP_GRAMMAR.search(text):
            return start + text
        if text == "null" and self.leaves[start.lstrip("+").rstrip("=")].may_be_null:
            return f"{start}null"
        return f"{start}{quoted(text)}"


def quoted(text: str) -> str:
    """A string of Hydra's grammar that stands for exactly this text."""
    return QuotedString(without_interpolation(text), Quote.single).with_quotes()


def names_in(overrides: Iterable[str]) -> frozenset[str]:
    """The settings and groups that overrides are about; of a whole node written {...}, the settings in it."""
    found: set[str] = set()
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        value = override.value() if not override.is_sweep_override() else None
        found |= set(_paths(override.key_or_group, value))
    return frozenset(found)


def _paths(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _paths(f"{key}.{name}", inner)
    else:
        yield key


def _in_grammar(argument: str) -> str:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException as error:
        raise ValueError(f"{argument}: the value cannot be read; give a number, true, false, null or [a,b,c]") from error
    return argument
