"""Hydra's own flags and words: each is typed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def mine(line: Callable) -> Callable:
    """With a folder of one's own: an experiment, an option of our group, a group of its own, a primary file."""
    for name, text in {
        "experiment/mine.yaml": "# @package _global_\ndefaults: [override /network: wide]\ntraining: {steps: 7}\n",
        "network/wide.yaml": "rank: 99\n",
        "habit/careful.yaml": "# @package _global_\nplacements: 9\n",
        "my_train.yaml": "defaults: [train, override experiment: null, _self_]\nplacements: 2\n",
    }.items():
        file = Path("my", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return line


def test_own_experiment(mine: Callable) -> None:
    config = mine("train", "--config-dir", "my", "experiment=mine").config
    assert (config.training.steps, config.network.rank) == (7, 99)


def test_own_groups_added_and_taken_away(mine: Callable) -> None:
    config = mine("train", "+habit=careful", "~experiment", "network=wide", "++training.steps=5", "--config-dir=my").config
    assert (config.placements, config.training.steps, config.network.rank) == (9, 5, 99)


def test_own_primary_file(mine: Callable) -> None:
    assert mine("train", "--config-dir", "my", "--config-name", "my_train").config.placements == 2
    assert "\nplacements: 2\n" in mine("train", "-cd", "my", "-cn", "my_train", "-c", "job").out
    Path("my/train.yaml").write_text("defaults: [train_schema, _self_]\nplacements: 3\nhydra: {run: {dir: r}}\n")
    assert mine("train", "--config-path", "my").config.placements == 3


def test_searchpath(mine: Callable) -> None:
    assert mine("train", "hydra.searchpath=[file://my]", "experiment=mine", "--cfg", "job", "-p", "network.rank").out == "99\n"


def test_cfg(line: Callable) -> None:
    job = line("train", "--cfg", "job", "data.video=a, b = c.mp4", "network.depth=0,1,1,1")
    assert (job.status, job.calls, job.err) == (0, [], "")
    assert OmegaConf.create(job.out).data.video == "a, b = c.mp4"
    assert "dir: runs/${now:%Y" in line("train", "--cfg", "hydra").out
    resolved = line("train", "--cfg", "all", "--resolve").out
    assert resolved.startswith("hydra:")
    assert "dir: runs/20" in resolved
    assert line("train", "training.steps=3", "--cfg=job", "--package", "training").out.startswith(
        "# @package training\nsteps: 3\n"
    )
    assert line("train", "--cfg", "job", "--package", "nothing").status == 1
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("all", "Installed Hydra Plugins"),
        ("config", "Config search path"),
        ("defaults", "| experiment/davis "),
        ("defaults-tree", "experiment: davis"),
        ("plugins", "BasicSweeper"),
        ("searchpath", "| main "),
    ],
)
def test_info(topic: str, expected: str, line: Callable) -> None:
    seen = line("train", "--info", topic, "experiment=davis")
    assert (seen.status, seen.calls) == (0, [])
    assert expected in seen.out
    assert not list(Path().iterdir())


def test_completion(line: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "complete -o nospace" in line("train", "-sc", "install=bash").out
    for typed, expected in (
        ("network=", ["network=large", "network=medium", "network=small"]),
        ("training.optimizer.na", ["training.optimizer.name="]),
        ("data.video=a evid", ["evidence.", "evidence="]),
    ):
        monkeypatch.setenv("COMP_LINE", f"revseg-train {typed}")
        assert line("train", "-sc", "query=bash").out.split() == expected
    assert "No completion plugin for 'ksh'" in line("train", "--shell-completion", "install=ksh").sentence


def test_help_of_hydra_and_version(line: Callable) -> None:
    assert "== Flags ==" in line("train", "--hydra-help").out
    assert line("train", "--version").out.startswith("revseg ")


def test_hydras_settings(line: Callable) -> None:
    seen = line("train", "hydra.run.dir=r", "hydra.verbose=true", "hydra.job.name=other", "hydra/job_logging=stdout")
    assert seen.config.run_dir == "r"
    assert not Path("r/train.log").exists()
    assert OmegaConf.load("r/.hydra/hydra.yaml").hydra.job.name == "other"
    assert line("train", "hydra/launcher=nowhere").sentence.startswith(
        "revseg: there is no hydra/launcher=nowhere; choose one of"
    )


def test_mode_that_a_file_sets(line: Callable) -> None:
    Path("my/experiment").mkdir(parents=True)
    Path("my/experiment/both.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweep: {dir: s}\n  sweeper: {params: {training.steps: '1,2'}}\n"
    )
    seen = line("train", "--config-dir", "my", "experiment=both", "data.video=a, b.mp4")
    assert [(config.training.steps, config.data.video, config.run_dir) for config, _ in seen.calls] == [
        (1, "a, b.mp4", "s/0"),
        (2, "a, b.mp4", "s/1"),
    ]
    assert not Path("runs").exists()


def test_rerun(line: Callable) -> None:
    keep = "+hydra.callbacks.keep._target_=hydra.experimental.callbacks.PickleJobInfoCallback"
    line("train", "run_dir=r", "training.steps=4", keep)
    with pytest.warns(UserWarning, match="rerun"):
        config = line("train", "--experimental-rerun", "r/.hydra/config.pickle").config
    assert (config.run_dir, config.training.steps) == ("r", 4)


def typed(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.small", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_at_once_get_two_folders(tmp_path: Path) -> None:
    processes = [typed(tmp_path, "train") for _ in range(2)]
    for process in processes:
        _, error = process.communicate()
        assert (process.returncode, error) == (0, "")
    assert len([folder for folder in (tmp_path / "runs").iterdir() if (folder / "config.yaml").is_file()]) == 2


def test_interrupted(tmp_path: Path) -> None:
    process = typed(tmp_path, "train", "training.steps=1017")
    assert process.stdout
    while process.stdout.readline() != "waiting\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert (process.returncode, error) == (130, "revseg: interrupted\n")
    assert not list((tmp_path / "runs").iterdir())


def test_threads_sleep_early_unless_told_otherwise(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    code = "import sys; sys.argv[1:] = ['a']; from revseg.cli import main; from tests.cli import small; main.start(small.PREDICT)"
    for chosen, expected in (({}, '"5000"'), ({"OMP_WAIT_POLICY": "active"}, "null")):
        environment = clean | {"PYTHONPATH": str(ROOT)} | chosen
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert f'"spin": {expected}' in run.stdout


def test_joblib_launcher(tmp_path: Path) -> None:
    process = typed(tmp_path, "train", "-m", "hydra/launcher=joblib", "training.steps=1,2", "hydra.sweep.dir=s")
    _, error = process.communicate()
    assert process.returncode == 0, error
    assert all("INFO" in (tmp_path / f"s/{number}/train.log").read_text() for number in range(2))


def test_optuna_sweeper(tmp_path: Path) -> None:
    sweeper = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.direction=minimize"]
    process = typed(tmp_path, "train", "-m", *sweeper, "training.steps=range(1,9)", "hydra.sweep.dir=s")
    _, error = process.communicate()
    assert process.returncode == 0, error
    assert OmegaConf.load(tmp_path / "s/optimization_results.yaml").best_value >= 16  # the objective came back


def test_a_configuration_file_that_is_no_yaml(line: Callable, tmp_path: Path) -> None:
    for text in ("placements: 1\nevidence: source: none\n", "placements: \0\n"):
        (tmp_path / "own" / "experiment").mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / "experiment" / "mine.yaml").write_text(text)
        assert "own/experiment/mine.yaml" in (told := line("train", "--config-dir=own", "experiment=mine").sentence)
        assert told.endswith("cannot be read as YAML; correct it, or leave it out")
