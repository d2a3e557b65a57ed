"""A run that goes on keeps its settings, and says which of those that are given contradict them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from revseg.cli.saved import experiment_of
from revseg.cli.settings import covers, differences, leaves, merged
from revseg.config import TrainConfig
from revseg.runs.folder import RunFolder
from revseg.tasks.videos import expanded

# Where the run works now is this command's business.
OF_THE_COMMAND = {"run_dir", "device", "verbosity"}
# What changes the course of a training that has begun, and what of it does not: paths, as long as the same lies there (run.json).
FIXED = ("task", "seed", "data", "evidence", "guidance", "augment")
FREE = {"data.video", "data.masks", "data.truth", "data.root", "data.decoder"}


def absolute(config: TrainConfig) -> TrainConfig:
    """The settings with whole paths, so that a run can be resumed from another working directory."""
    paths = {name: getattr(config.data, name) for name in ("video", "masks", "truth", "root")}
    whole: dict[str, Any] = {name: None if path is None else str(Path(path).absolute()) for name, path in paths.items()}
    if config.data.videos is not None:  # those that a pattern means now: a run keeps its videos
        whole["videos"] = [str(path.absolute()) for path in expanded(config.data.videos)]
    from_run = None if config.from_run is None else str(Path(config.from_run).absolute())
    return replace(config, from_run=from_run, data=replace(config.data, **whole))


def as_begun(config: TrainConfig, folder: RunFolder, given: Collection[str] | None) -> TrainConfig:
    """The settings of the run that goes on, but for those that are given; as they are where a new one begins.

    given: None: all are. Raises ValueError in one sentence where one contradicts what was trained so far.
    """
    saved = folder if folder.config.exists() else origin_of(config, folder)
    if not saved.config.exists():
        return config
    if given is not None:
        _check_experiment(config, saved, given)
        own = OF_THE_COMMAND if saved is folder else OF_THE_COMMAND | {"from_run"}
        keys = [setting.key for setting in leaves(TrainConfig)]
        config = merged(config, saved.config, [key for key in keys if key not in own and not covers(given, key)])
    origin = origin_of(config, folder)
    if origin.last.exists():
        fixed = (*FIXED, "from_run") if origin is folder else FIXED
        for key, (before, now) in differences(origin.config, config).items():
            if key.partition(".")[0] in fixed and key not in FREE:
                raise _contradiction(origin, folder, f"{key}={before}", now=str(now))
    return config


def origin_of(config: TrainConfig, folder: RunFolder) -> RunFolder:
    """The run that goes on: the one in the folder, or that which from_run names, as long as there is no checkpoint of the former.

    Raises ValueError in one sentence where from_run names none.
    """
    if config.from_run is None:
        return folder
    origin = RunFolder(Path(config.from_run))
    if origin.path.resolve() == folder.path.resolve():
        raise ValueError(f"from_run and run_dir are both {folder.path}; leave from_run out: a run goes on in its own folder")
    if folder.last.exists():
        return folder
    if missing := [path.relative_to(origin.path) for path in (origin.config, origin.last) if not path.is_file()]:
        raise ValueError(f"from_run={config.from_run} has no {missing[0]}; give the folder of a run that was trained")
    return origin


def other_way(origin: RunFolder, folder: RunFolder) -> str:
    """What else a user may do whose settings or inputs are others than those of the run that goes on."""
    return "change run_dir" if origin is folder else "leave from_run out"


def _contradiction(origin: RunFolder, folder: RunFolder, before: str, *, now: str) -> ValueError:
    return ValueError(f"{origin.path} was begun with {before}, not {now}; set it back, or {other_way(origin, folder)}")


def _check_experiment(config: TrainConfig, saved: RunFolder, given: Collection[str]) -> None:
    """An experiment is many settings: another one than the run's own would be ignored."""
    file = saved.hydra / "hydra.yaml"
    if "experiment" not in given or not file.is_file():
        return
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return
    before = experiment_of(file)
    now = HydraConfig.get().runtime.choices.get("experiment")
    if before != now:
        raise ValueError(f"{saved.path} was begun with experiment={before}, not {now}; set it back, or change run_dir")
