"""Composes the settings of a command before Hydra runs it: for --help, and so that wrong settings leave no folder."""

from __future__ import annotations

import copy
from argparse import Namespace
from functools import cached_property
from pathlib import Path

import hydra.version
import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from revseg.cli.command import Command, configs_folder
from revseg.cli.settings import nearest, writable


class Composition:
    """The configuration files that a command composes: ours, and those of --config-dir and --config-path."""

    def __init__(self, command: Command, flags: Namespace) -> None:
        self.name = command.name
        self.main = Path(flags.config_path or configs_folder()).resolve()
        self.primary = flags.config_name or command.name
        self.extra = [Path(flags.config_dir).resolve()] if flags.config_dir else []
        for folder in (self.main, *self.extra):
            if not folder.is_dir():
                raise ValueError(f"{folder} is no folder; give --config-dir a folder of configuration files")
        schema = command.settings()
        name = f"{schema.__name__.removesuffix('Config').lower()}_schema"  # the first entry of the primary file
        ConfigStore.instance().store(name=name, node=writable(schema), provider="revseg")

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """Every group of this command -> its options; the user's own folders add groups and options."""
        options: dict[str, set[str]] = {}
        listed = self._listed(self.primary)
        for folder in (self.main, *self.extra):
            for file in folder.rglob("*.yaml"):
                group = file.parent.relative_to(folder).as_posix()
                if group != "." and not group.startswith("hydra") and (group in listed or folder != self.main):
                    options.setdefault(group, set()).add(file.stem)
        return {group: sorted(options[group]) for group in sorted(options)}

    def _listed(self, name: str) -> set[str]:
        """The groups in the defaults list of a primary file, and in those of the files that it takes over."""
        files = [folder / f"{name.removesuffix('.yaml')}.yaml" for folder in (self.main, *self.extra)]
        file = next((file for file in files if file.is_file()), None)
        entries = OmegaConf.select(OmegaConf.load(file), "defaults") if file else None
        found: set[str] = set()
        for entry in entries or ():
            if isinstance(entry, DictConfig):
                found |= {str(group).removeprefix("override ").strip("/") for group in entry}
            elif entry != "_self_":
                found |= self._listed(str(entry))
        return found

    def compose(self, overrides: list[str]) -> DictConfig:
        """The settings, with the node `hydra` in them.

        Raises ValueError in one sentence.
        """
        # As hydra.main does; its compose API knows neither --config-dir nor a primary file in there.
        hydra.version.setbase("1.3")
        search_path = create_config_search_path(str(self.main))
        for folder in self.extra:
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        GlobalHydra.instance().clear()
        try:
            loader = Hydra.create_main_hydra2(self.name, search_path).config_loader
            return loader.load_configuration(self.primary, overrides, RunMode.RUN)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(reason(error, overrides)) from error
        except yaml.YAMLError as error:
            raise ValueError(f"{place(error)} cannot be read as YAML; correct it, or leave it out") from error
        finally:
            GlobalHydra.instance().clear()


def without_hydra(tree: DictConfig) -> DictConfig:
    """The settings alone, as Hydra gives them to a job."""
    settings = copy.deepcopy(tree)
    with read_write(settings), open_dict(settings):
        del settings["hydra"]
    return settings


def reason(error: BaseException, overrides: list[str]) -> str:
    """One sentence for an error of Hydra: the first line of the innermost, and the argument that it is about."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing(error)
    while error.__cause__ is not None:
        error = error.__cause__
    first = str(error).strip().partition("\n")[0].rstrip(".")
    key = getattr(error, "full_key", None)
    about = [text for text in overrides if text in str(error) or (key and text.lstrip("+").startswith(f"{key}="))]
    if about and about[-1] not in first:
        first = f"{about[-1]}: {first}"
    return f"{first}; --help lists the settings and their types" if about else first


def place(error: yaml.YAMLError) -> str:
    """The file of an error of YAML and, where it is known, the line."""
    mark = getattr(error, "problem_mark", None)
    return f"{mark.name}, line {mark.line + 1}," if mark else str(getattr(error, "name", "a configuration file"))


def _missing(error: MissingConfigException) -> str:
    """A group has no such option, or there is no such primary file."""
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return f"there is no {option}.yaml among the configuration files; give --config-name a file of --config-dir"
    known = sorted(error.options or [])
    choice = f"; choose one of {', '.join(known)}" if known else f", and no group {group}; --help lists all"
    return f"there is no {group}={option}{nearest(option, known)}{choice}"
