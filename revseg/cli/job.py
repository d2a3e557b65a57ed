"""The function that Hydra runs: for one command, or for every job of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log
from hydra.types import RunMode
from omegaconf import DictConfig

from revseg.cli.command import Command
from revseg.cli.composition import without_hydra
from revseg.cli.logs import log_warnings, warnings_logged, write_to_log
from revseg.cli.openmp import sleep_early
from revseg.cli.sentences import sentence
from revseg.cli.settings import instance, updated
from revseg.cli.words import names_in
from revseg.runs.interruption import Interrupted


class Stopped(SystemExit):
    """A job ended with an error that its command tells in one sentence.

    It is no Exception: Hydra would print that a job failed, with all its overrides, and go on to the next of a sweep.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True)
class Job:
    """Calls the function of a command with its settings. Launchers send it to other processes."""

    command: Command
    traceback: bool = False
    """Whether the user wants to see where an error comes from."""

    def __call__(self, tree: DictConfig) -> Any:
        """The objective: what the function returns. Sweepers minimize or maximize it."""
        sleep_early()
        alone = HydraConfig.get().mode != RunMode.MULTIRUN
        typed = list(HydraConfig.get().overrides.task)
        try:
            config = instance(tree, self.command.settings())
            with warnings_logged():
                return self.command.call(self._in_its_folder(config, alone=alone), names_in(typed))
        except BaseException as error:
            text = sentence(error, typed)
            write_to_log(text, error)
            # Sweepers and launchers must see that a job of theirs failed; a signal ends the whole sweep.
            if text is None or self.traceback or not (alone or isinstance(error, Interrupted)):
                raise
            raise Stopped(error) from error

    def directly(self, tree: DictConfig, typed: list[str], rank: int = 0) -> Any:
        """Calls a command that writes nothing: Hydra would compose its settings twice more for a folder that it has not.

        rank: of this process among those of a run; the first alone has the folder and the log.
        """
        sleep_early()
        HydraConfig.instance().set_config(tree)
        if rank:
            log_warnings(rank)
        else:
            configure_log(tree.hydra.job_logging, tree.hydra.verbose)
        try:
            return self.command.call(instance(without_hydra(tree), self.command.settings()), names_in(typed))
        except BaseException as error:
            if self.traceback or sentence(error, typed) is None:
                raise
            raise Stopped(error) from error

    def _in_its_folder(self, config: Any, *, alone: bool) -> Any:
        """The settings with the folder that Hydra made for this job."""
        name = self.command.folder
        if name is None or reduce(getattr, name.split("."), config) is not None or (alone and not self.command.keeps_runs):
            return config
        path = HydraConfig.get().run.dir if alone else _from_here(Path(HydraConfig.get().runtime.output_dir))
        return updated(config, {name: str(path)})


def _from_here(path: Path) -> Path:
    """Short where it lies in the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
