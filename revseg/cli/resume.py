"""A run that is resumed keeps its settings, and says which of those that are given contradict them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from revseg.cli.saved import experiment_of
from revseg.cli.settings import covers, differences, leaves, merged
from revseg.config import TrainConfig
from revseg.runs.folder import RunFolder

# Where the run works now is this command's business.
OF_THE_COMMAND = {"run_dir", "device", "verbosity"}
# What changes the course of a training that has begun. Paths may change: what lies there may not (run.json).
FIXED = ("task", "seed", "data", "evidence", "guidance", "augment")
PATHS = {"data.video", "data.masks", "data.truth", "data.root"}


def absolute(config: TrainConfig) -> TrainConfig:
    """The settings with whole paths, so that a run can be resumed from another working directory."""
    paths = {name: getattr(config.data, name) for name in ("video", "masks", "truth", "root")}
    whole = {name: None if path is None else str(Path(path).absolute()) for name, path in paths.items()}
    return replace(config, data=replace(config.data, **whole))  # type: ignore[arg-type]


def as_begun(config: TrainConfig, folder: RunFolder, given: Collection[str] | None) -> TrainConfig:
    """The settings of the run in a folder, but for those that are given; as they are where there is no run yet.

    given: None: all are. Raises ValueError in one sentence where one contradicts what was trained so far.
    """
    if not folder.config.exists():
        return config
    if given is not None:
        _check_experiment(config, folder, given)
        keys = [setting.key for setting in leaves(TrainConfig)]
        config = merged(config, folder.config, [key for key in keys if key not in OF_THE_COMMAND and not covers(given, key)])
    if folder.last.exists():
        for key, (before, now) in differences(folder.config, config).items():
            if key.partition(".")[0] in FIXED and key not in PATHS:
                raise ValueError(f"{folder.path} was begun with {key}={before}, not {now}; set it back, or change run_dir")
    return config


def _check_experiment(config: TrainConfig, folder: RunFolder, given: Collection[str]) -> None:
    """An experiment is many settings: another one than the run's own would be ignored."""
    file = folder.hydra / "hydra.yaml"
    if "experiment" not in given or not file.is_file():
        return
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return
    before = experiment_of(file)
    now = HydraConfig.get().runtime.choices.get("experiment")
    if before != now:
        raise ValueError(f"{folder.path} was begun with experiment={before}, not {now}; set it back, or change run_dir")
