"""Real signals to real commands, whatever they are at: in flow, in training, in an evaluation, in prediction, in writing."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.little import arguments, write_video
from tests.parallel.processes import start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    write_video(folder)
    return folder


def signalled(rank: int, folder: Path, name: str, signum: int, *given: str) -> None:
    """revseg-train, which gets a signal as a phase begins."""
    from revseg.cli.main import train
    from revseg.runs.phases import Phase, watched
    from revseg.tasks.one_video import OneVideo

    def send(phase: Phase) -> None:
        if phase.name == name and not phase.ended and not (folder / "sent").exists():
            (folder / "sent").touch()
            os.kill(os.getpid(), signum)

    evaluate = OneVideo.evaluate

    def evaluated(self: OneVideo, net: Any) -> Any:
        if name == "evaluation":
            os.kill(os.getpid(), signum)
        return evaluate(self, net)

    OneVideo.evaluate = evaluated  # type: ignore[method-assign]
    sys.argv = ["revseg-train", *given]
    with watched(send):
        train()


@pytest.mark.parametrize(
    ("phase", "signum"),
    [
        ("optical flow", signal.SIGTERM),
        ("training", signal.SIGHUP),
        ("evaluation", signal.SIGUSR1),
        ("segmenting", signal.SIGINT),
        ("writing", signal.SIGUSR2),
    ],
)
def test_a_signal_ends_a_training_in_any_phase_and_it_goes_on(
    phase: str, signum: signal.Signals, video: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    given = arguments(video, run_dir, "training.steps=3", "training.evaluate_every=2")
    started = start(tmp_path / "one", 1, signalled, phase, signum, *given)
    assert started.statuses() == [128 + signum], started.told()
    (sentence,) = started.told()[0].splitlines()
    assert sentence.startswith("revseg: interrupted" if signum == signal.SIGINT else f"revseg: stopped by {signum.name}")
    steps = {"optical flow": None, "training": 1, "evaluation": 2, "segmenting": 3, "writing": 3}[phase]
    last = run_dir / "checkpoints" / "last.pt"
    assert (torch.load(last, weights_only=True)["step"] if last.exists() else None) == steps
    if steps is not None:
        assert json.loads((run_dir / "run.json").read_text())["state"] == "interrupted"
    started = start(tmp_path / "two", 1, signalled, "no such phase", 0, f"run_dir={run_dir}")
    assert started.statuses() == [0], started.told()
    assert len(list((run_dir / "predictions" / "masks").iterdir())) == 8


def ignoring(rank: int, folder: Path, *given: str) -> None:
    """As nohup starts it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signalled(rank, folder, "training", signal.SIGHUP, *given)


def test_a_signal_that_is_ignored_stays_so(video: Path, tmp_path: Path) -> None:
    started = start(tmp_path / "one", 1, ignoring, *arguments(video, tmp_path / "run", "training.steps=2"))
    assert started.statuses() == [0], started.told()


def launched(rank: int, folder: Path, lets_go_on: bool, *given: str) -> None:
    """As a launcher of batch jobs starts it, which puts the job back into its queue at a signal, or waits for another one."""
    from revseg.config import TrainConfig
    from revseg.network.config import NetworkConfig
    from revseg.runs.phases import Phase, watched
    from revseg.tasks.config import DataConfig
    from revseg.train import train
    from revseg.training.config import TrainingConfig

    def handle(signum: int, frame: object) -> None:
        assert (Path(given[1]) / "checkpoints" / "last.pt").exists()  # all is saved before
        (folder / "handled").touch()
        if not lets_go_on:
            sys.exit(5)

    signal.signal(signal.SIGUSR2, handle)

    def send(phase: Phase) -> None:
        if phase.name == "training" and not phase.done:
            os.kill(os.getpid(), signal.SIGUSR2)

    config = TrainConfig(
        run_dir=given[1],
        device="cpu",
        data=DataConfig(video=f"{given[0]}/frames", masks=f"{given[0]}/masks", height=None),
        network=NetworkConfig(channels=2, levels=1, depth=1, rank=4),
        training=TrainingConfig(steps=3),
    )
    with watched(send):
        train(config)


@pytest.mark.parametrize(("lets_go_on", "status"), [(False, 5), (True, 0)])
def test_a_launcher_that_knows_the_signal_gets_it_when_all_is_saved(
    lets_go_on: bool, status: int, video: Path, tmp_path: Path
) -> None:
    started = start(tmp_path / "one", 1, launched, lets_go_on, str(video), str(tmp_path / "run"))
    assert started.statuses() == [status], started.told()
    assert (tmp_path / "one" / "handled").exists()
    if lets_go_on:
        assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == 3
