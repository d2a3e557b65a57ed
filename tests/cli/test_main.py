"""What comes of a command line: settings, folders, logs, and errors in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from revseg.cli.command import configs_folder
from revseg.cli.composition import Composition, without_hydra
from revseg.cli.main import COMMANDS, RUNS, TRAIN
from revseg.cli.settings import instance
from revseg.cli.words import read_words
from tests.cli import small


def files(folder: str | Path = ".") -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


HYDRA_FILES = {".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"}


def test_types_and_defaults(line: Callable) -> None:
    config = line("predict", "it's [x] ${y}, b.mp4", "data.height=48", "evidence=none").config
    assert (config.data.video, config.output.folder, config.data.height) == ("it's [x] ${y}, b.mp4", None, 48)
    assert type(config) is small.PREDICT.settings()
    assert config.evidence.source == "none"
    config = line("train", "network.step_size=2", "network.depth=0,1,1,1").config
    assert (type(config.network.step_size), list(config.network.depth)) == (float, [0, 1, 1, 1])


def test_without_anything_the_recommended_recipe(line: Callable) -> None:
    plain, named = (line("train", *arguments).config for arguments in ([], ["experiment=few_frames"]))
    assert plain.task == "one_video"
    assert plain.evidence == named.evidence
    assert (plain.network, plain.training, plain.placements) == (named.network, named.training, named.placements)


def test_what_was_given(line: Callable) -> None:
    assert line("predict", "a.mp4", "evidence=none", "++placements=2").given == {"data.video", "evidence", "placements"}
    assert line("train", "run_dir=x", "hydra.job.name=y", "training.optimizer={name: adamw}").given == {
        "run_dir",
        "training.optimizer.name",
    }


def test_every_option_of_every_group_composes() -> None:
    composition = Composition(TRAIN, read_words([]).flags)
    assert set(composition.groups) == {"augment", "data", "evidence", "experiment", "network", "training"}
    for group, options in composition.groups.items():
        for option in options:
            assert instance(without_hydra(composition.compose([f"{group}={option}"])), TRAIN.settings()).network.channels


def test_new_run(line: Callable) -> None:
    seen = line("train", "data.video=a b.mp4")
    (folder,) = Path("runs").iterdir()
    assert seen.config.run_dir == str(folder)
    assert files(folder) == HYDRA_FILES | {"config.yaml", "train.log", ".lock"}
    assert OmegaConf.load(folder / ".hydra/overrides.yaml") == ["data.video='a b.mp4'"]
    assert line("train").config.run_dir != str(folder)
    assert len(list(Path("runs").iterdir())) == 2


def test_the_default_folder_is_the_one_that_is_replaced() -> None:
    assert OmegaConf.to_container(OmegaConf.load(configs_folder() / "train.yaml"))["hydra"]["run"]["dir"] == RUNS


def test_named_run_is_resumed_with_its_first_composition_kept(line: Callable) -> None:
    name = "my runs/x=1, [2] '3'"
    assert line("train", f"run_dir={name}", "training.steps=3").config.run_dir == name
    for number in (1, 2):
        line("train", f"run_dir={name}", f"training.steps={number}")
    resumed = {f".hydra/resumed-{number}/{Path(file).name}" for number in (1, 2) for file in HYDRA_FILES}
    assert files(name) == HYDRA_FILES | resumed | {"config.yaml", "train.log", ".lock"}
    assert OmegaConf.load(Path(name, ".hydra/overrides.yaml"))[1] == "training.steps=3"
    assert OmegaConf.load(Path(name, ".hydra/resumed-2/overrides.yaml"))[1] == "training.steps=2"
    assert Path(name, "train.log").read_text().count(" INFO ") == 3


def test_hydras_own_folder_is_the_runs(line: Callable) -> None:
    assert line("train", "hydra.run.dir=x/y").config.run_dir == "x/y"
    assert files("x/y") > HYDRA_FILES
    assert "are two folders" in line("train", "hydra.run.dir=x", "run_dir=y").sentence
    assert line("train", "hydra.run.dir=z", "run_dir=z", "hydra.output_subdir=null").config.run_dir == "z"
    assert files("z") == {"config.yaml", "train.log", ".lock"}


def test_other_commands_leave_nothing(line: Callable) -> None:
    assert line("predict", "a.mp4").config.output.folder is None
    assert files() == set()


def test_sweep(line: Callable) -> None:
    seen = line("train", "-m", "training.steps=1,2", "network.rank=8,16", "data.video=a=b, c".replace(", ", " "))
    assert [(config.training.steps, config.network.rank, config.data.video) for config, _ in seen.calls] == [
        (steps, rank, "a=b c") for steps in (1, 2) for rank in (8, 16)
    ]
    (sweep,) = Path("multirun").iterdir()
    assert [config.run_dir for config, _ in seen.calls] == [str(sweep / str(number)) for number in range(4)]
    assert files(sweep / "3") == HYDRA_FILES | {"config.yaml", "train.log"}
    assert not Path("runs").exists()


def test_sweep_functions_and_folders(line: Callable) -> None:
    arguments = [
        "training.steps=range(1,3)",
        "network=choice(small)",
        "hydra.sweep.dir=s",
        "hydra.sweep.subdir=n${hydra.job.num}",
    ]
    seen = line("train", "-m", *arguments)
    assert [(config.training.steps, config.run_dir) for config, _ in seen.calls] == [(1, "s/n0"), (2, "s/n1")]
    seen = line("predict", "-m", "one film.mp4", "placements=1,4", "hydra.sweep.dir=p")
    assert [(config.data.video, config.output.folder) for config, _ in seen.calls] == [
        ("one film.mp4", "p/0"),
        ("one film.mp4", "p/1"),
    ]
    assert "run_dir is the folder of one run" in line("train", "-m", "run_dir=x", "training.steps=1,2").sentence


def test_job_that_fails_ends_a_sweep(line: Callable) -> None:
    seen = line("train", "-m", "training.steps=1013", "hydra.sweep.dir=s")
    assert seen.status == 1
    assert seen.err.splitlines()[-1] == "revseg: step 13: the loss is nan; lower the rate"
    seen = line("train", "-m", "training.steps=1015,1", "hydra.sweep.dir=t")
    assert (seen.status, len(seen.calls)) == (143, 1)


def test_warnings_of_other_libraries_go_to_the_file_alone(line: Callable) -> None:
    seen = line("train", "training.steps=1019", "run_dir=r")
    assert (seen.status, seen.err) == (0, "")
    assert "of ours" in seen.out
    assert "of a library" not in seen.out
    assert "DEBUG   UserWarning of /site-packages/PIL/TiffImagePlugin.py:946: of a library" in Path("r/train.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data.heigth=3"], "there is no setting 'data.heigth', did you mean data.height"),
        (["+foo=1"], "there is no setting 'foo'"),
        (["++training.stepz=1"], "there is no setting 'training.stepz', did you mean training.steps"),
        (["data.height=tall"], "data.height=tall: Value 'tall' of type 'str' could not be converted to Integer"),
        (["network.levels=1.5"], "network.levels=1.5: Value '1.5' of type 'float'"),
        (["network.channels=-1"], "network.channels is -1"),
        (["verbosity=loud"], "verbosity is loud; choose one of quiet, normal, debug"),
        (["experiment=dvais"], "there is no experiment=dvais, did you mean davis; choose one of davis, demo,"),
        (["+training.steps=1"], "+training.steps=1: Could not append to config. An item is already at 'training.steps'"),
        (["--config-dir", "nowhere"], "nowhere is no folder"),
        (["--config-name", "mine"], "there is no mine.yaml"),
        (["run_dir=${x}"], "${x} has ${ in its name, which Hydra cannot work in"),
        (["--resolve"], "can only be used in conjunction with --cfg"),
        (["--quick"], "unknown option --quick"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_and_no_folder_made(arguments: list[str], sentence: str, line: Callable) -> None:
    assert sentence in line("train", *arguments).sentence
    assert not list(Path().iterdir())


def test_setting_that_must_be_given(line: Callable) -> None:
    assert "data.video is not set; give data.video=" in line("predict").sentence


@pytest.mark.parametrize(
    ("steps", "status", "sentence"),
    [
        (1013, 1, "revseg: step 13: the loss is nan; lower the rate"),
        (1014, 1, "revseg: out of memory; lower data.height"),
        (1015, 143, "after step 3; everything is saved in r; to go on: revseg-train run_dir=r"),
        (1018, 130, "revseg: interrupted"),
    ],
)
def test_errors_end_in_one_sentence(steps: int, status: int, sentence: str, line: Callable) -> None:
    Path("r").mkdir()  # a folder of one's own stays
    seen = line("train", f"training.steps={steps}", "run_dir=r")
    assert seen.status == status
    (told,) = seen.err.splitlines()
    assert sentence in told
    assert told.removeprefix("revseg: ").partition("; to go on")[0] in Path("r/train.log").read_text()


def test_new_run_that_never_started_leaves_no_folder(line: Callable) -> None:
    line("train", "training.steps=1013")
    line("train", "training.steps=1013", "run_dir=runs/x")
    assert not list(Path("runs").iterdir())


def test_traceback_on_request(line: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="the loss\nis nan"):
        line("train", "training.steps=1013")
    with pytest.raises(ValueError, match="no setting"):
        line("train", "stepz=1")


def test_our_own_mistakes_are_not_hidden(line: Callable) -> None:
    Path("r").mkdir()
    with pytest.raises(AttributeError, match="typo"):
        line("train", "training.steps=1016", "run_dir=r")
    assert "AttributeError: typo" in Path("r/train.log").read_text()


@pytest.mark.parametrize(("verbosity", "printed"), [("quiet", 1), ("normal", 2), ("debug", 3)])
def test_the_log_has_all_and_the_console_what_was_asked(verbosity: str, printed: int, line: Callable) -> None:
    seen = line("train", f"verbosity={verbosity}", "run_dir=r")
    assert len(seen.out.splitlines()) == printed
    assert seen.out.endswith("a warning\n")
    logged = Path("r/train.log").read_text().splitlines()
    assert [text.split()[2] for text in logged] == ["DEBUG", "INFO", "WARNING"]


def test_logging_and_environment_are_as_before(line: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    loggers = [logging.getLogger(name) for name in (None, "revseg")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    line("train")
    assert [(logger.handlers, logger.level, logger.propagate) for logger in loggers] == before
    assert "HYDRA_FULL_ERROR" not in small.os.environ


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_name_what_exists(command) -> None:
    assert command.settings()
    assert command.source().is_file()
    assert (configs_folder() / f"{command.name}.yaml").is_file()


def test_configuration_that_knows_no_schema(line: Callable) -> None:
    Path("my").mkdir()
    Path("my/bare.yaml").write_text("training: {steps: 3}\nhydra: {run: {dir: r}}\n")
    assert line("train", "--config-dir", "my", "--config-name", "bare").config.training.steps == 3
