"""Trainings in several processes, by the command line: they equal those in one, however many share out the videos of a step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from revseg.cli.main import train
from revseg.training.curves import losses
from tests.parallel.dataset import FRAMES, MEASURED, SETTINGS, write_dataset
from tests.parallel.processes import Started, command_line, start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STEPS = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


def given(root: Path, run_dir: Path, *more: str) -> list[str]:
    return [f"data.root={root}", *SETTINGS, f"run_dir={run_dir}", f"training.steps={STEPS}", *more]


@pytest.fixture(scope="module")
def alone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process, four videos a step."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["revseg-train", *given(root, run_dir, "training.accumulation=4")])
        train()
    torch.set_num_threads(threads)
    return run_dir


def checkpoint(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run_dir / "checkpoints" / "last.pt", weights_only=True)
    return found


def assert_equal(run_dir: Path, alone: Path) -> None:
    """Same losses to 1e-5, weights to 1e-4, and nearly the same masks."""
    for (step, loss), (other, expected) in zip(losses(run_dir / "tensorboard"), losses(alone / "tensorboard"), strict=True):
        assert step == other
        assert loss == pytest.approx(expected, abs=1e-5)
    one, reference = checkpoint(run_dir), checkpoint(alone)
    assert one["step"] == reference["step"] == STEPS
    torch.testing.assert_close(one["weights"], reference["weights"], rtol=0, atol=1e-4)
    found, expected = (json.loads((path / "metrics.json").read_text())["sequences"] for path in (run_dir, alone))
    assert list(found) == list(expected) == list(MEASURED)
    assert found == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_equal_one(world: int, root: Path, alone: Path, tmp_path: Path) -> None:
    """accumulation is the number of videos of all; where it is not given, each process takes one."""
    more = ["training.accumulation=4"] if world == 2 else []
    started = start(tmp_path, world, command_line, *given(root, tmp_path / "run", *more))
    assert started.statuses() == [0] * world, started.told()
    assert_equal(tmp_path / "run", alone)
    for name in MEASURED:  # shared out, and all there
        assert len(list((tmp_path / "run" / "predictions" / name / "masks").iterdir())) == FRAMES
    printed = [(tmp_path / f"stdout.{rank}").read_text() for rank in range(world)]
    assert f"on cpu in {world} processes" in printed[0]
    assert printed[1:] == [""] * (world - 1)
    assert started.told()[1:] == [""] * (world - 1)
    assert "accumulation: 4" in (tmp_path / "run" / "config.yaml").read_text()


def signalled(rank: int, folder: Path, *arguments: str) -> None:
    """Rank 1 alone is signalled, in the middle of its eighth step."""
    from revseg.training.trainer import Trainer

    gradients = Trainer._gradients

    def stopped(self: Trainer, *given: Any) -> Any:
        if rank == 1 and self.progress.step == 7:
            os.kill(os.getpid(), signal.SIGUSR1)
        return gradients(self, *given)

    Trainer._gradients = stopped  # type: ignore[method-assign]
    command_line(rank, folder, *arguments)


def test_a_signal_to_one_stops_all_and_other_processes_go_on(root: Path, alone: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    started = start(tmp_path / "two", 2, signalled, *given(root, run_dir, "training.accumulation=4"))
    assert started.statuses() == [128 + signal.SIGUSR1] * 2, started.told()
    first, second = started.told()
    assert first.strip() == f"revseg: stopped by SIGUSR1 after step 8; everything is saved in {run_dir}"
    assert second == ""
    assert checkpoint(run_dir)["step"] == 8
    assert json.loads((run_dir / "run.json").read_text())["state"] == "interrupted"
    started = start(tmp_path / "three", 3, command_line, f"run_dir={run_dir}")  # shares of two, one and one
    assert started.statuses() == [0] * 3, started.told()
    assert_equal(run_dir, alone)


def spoiled(rank: int, folder: Path, what: str, *arguments: str) -> None:
    """Something is wrong with the fourth step of rank 1."""
    from dataclasses import replace

    from revseg.training.trainer import Trainer

    launch = Trainer._launch

    def wrong(self: Trainer, item: Any) -> Any:
        if rank != 1 or self.progress.step != 3:
            return launch(self, item)
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "broken":
            raise OSError("/videos/b.mp4: it cannot be decoded")
        found = launch(self, item)
        if what == "not finite":
            return replace(found, loss=found.loss * torch.inf)
        assert found.reached is not None
        return replace(found, reached=found.reached + 2.0**31)

    Trainer._launch = wrong  # type: ignore[method-assign]
    command_line(rank, folder, *arguments)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("not finite", "revseg: step 4: the loss is inf, the gradient's norm "),
        ("overflow", "revseg: step 4: the state reached "),
        ("broken", "revseg: rank 1: /videos/b.mp4: it cannot be decoded"),
        ("killed", "revseg: rank 1 ended without a word: killed, out of memory, or on a machine that is lost or out of reach"),
    ],
)
def test_what_goes_wrong_in_one_ends_all(what: str, sentence: str, root: Path, tmp_path: Path) -> None:
    more = ["network.arithmetic=exact", "network.grid_bits=4"]  # in float32, the widest states: nothing to go on in
    started = start(tmp_path, 2, spoiled, what, *given(root, tmp_path / "run", *more))
    statuses = started.statuses()
    assert statuses == ([1, -signal.SIGKILL] if what == "killed" else [1, 1])
    first, second = started.told()
    assert first.startswith(sentence)
    assert (len(first.splitlines()), second) == (1, "")


def others(rank: int, folder: Path, own: str, *arguments: str) -> None:
    command_line(rank, folder, *arguments, *([own] if rank else []))


def test_other_settings_than_rank_0(root: Path, tmp_path: Path) -> None:
    started = start(tmp_path, 2, others, "seed=5", *given(root, tmp_path / "run"))
    assert refusal(started) == (
        "revseg: rank 1 was started with seed=5 (rank 0: 0): start all ranks with the same code and the same settings"
    )
    assert not (tmp_path / "run").exists()


def test_more_processes_than_videos_of_a_step(root: Path, tmp_path: Path) -> None:
    started = start(tmp_path, 2, command_line, *given(root, tmp_path / "run", "training.accumulation=1"))
    assert refusal(started) == (
        "revseg: 2 processes share out the videos of a step, which are training.accumulation=1: start no more than 1, or set "
        "training.accumulation=2"
    )
    assert not (tmp_path / "run").exists()


def test_a_setting_that_is_none(root: Path, tmp_path: Path) -> None:
    started = start(tmp_path, 2, command_line, *given(root, tmp_path / "run", "training.setps=1"))
    assert refusal(started).startswith("revseg: there is no setting 'training.setps', did you mean training.steps")


def predicts(rank: int, folder: Path, *arguments: str) -> None:
    from revseg.cli.main import predict

    sys.argv = ["revseg-predict", *arguments]
    predict()


def test_a_command_for_one_process(tmp_path: Path) -> None:
    started = start(tmp_path, 2, predicts, "video.mp4")
    assert started.statuses() == [1, 1]
    assert "revseg-predict works in one process, but the environment says that 2 were started together" in started.told()[0]


def refusal(started: Started) -> str:
    """The sentence of rank 0; the others say nothing."""
    assert started.statuses() == [1] * len(started.processes), started.told()
    first, *more = started.told()
    assert more == [""] * len(more)
    (sentence,) = first.splitlines()
    return sentence


def test_torchrun(root: Path, tmp_path: Path) -> None:
    """As it is typed, in processes that import all for themselves."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "revseg.train", *given(root, tmp_path / "run", "training.steps=2")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "on cpu in 2 processes, step 0 of 2" in done.stdout
    assert checkpoint(tmp_path / "run")["step"] == 2
    assert "accumulation: 2" in (tmp_path / "run" / "config.yaml").read_text()
