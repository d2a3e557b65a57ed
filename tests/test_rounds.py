"""Labels are added or corrected, and the run is trained again: in its folder, or from another one."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from revseg.cli.main import train as main
from revseg.labels.masks import read_mask, write_mask
from tests.little import FRAMES, NETWORK, write_video

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SHORT = ["training.steps=4", "training.finetune_steps=3", "training.checkpoint_every=2", "placements=1"]


def train(*given: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["revseg-train", *map(str, given)])
        main()


def refusal(capsys: pytest.CaptureFixture[str], *given: object) -> str:
    """The sentence that revseg-train stops with."""
    with pytest.raises(SystemExit) as stop:
        train(*given)
    assert stop.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


def checkpoint(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return content


def read(run: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / name).read_text())
    return content


def assert_same_training(one: Path, other: Path) -> None:
    """Weights, optimizer and rounds, bit for bit, but for the time that they took."""
    first, second = checkpoint(one), checkpoint(other)
    torch.testing.assert_close(first["weights"], second["weights"], rtol=0, atol=0)
    torch.testing.assert_close(first["optimizer"]["parts"], second["optimizer"]["parts"], rtol=0, atol=0)
    for content in (first, second):
        for each in content["rounds"]:
            del each["seconds"]
    assert [first[name] for name in ("step", "rounds")] == [second[name] for name in ("step", "rounds")]


@pytest.fixture
def folder(tmp_path: Path, first_round: Path) -> Path:
    """A finished run, its video, and a folder of labels to which one was added since."""
    shutil.copytree(first_round, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "masks" / "00004.png", tmp_path / "labels")
    return tmp_path


@pytest.fixture(scope="module")
def first_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    _, masks = write_video(folder)
    (folder / "labels").mkdir()
    for frame in (0, FRAMES - 1):
        shutil.copy(masks / f"{frame:05d}.png", folder / "labels")
    train(*own(folder), f"run_dir={folder / 'run'}", *SHORT)
    return folder


def own(folder: Path) -> list[str]:
    """The settings of the video and its labels."""
    paths = [f"data.video={folder / 'frames'}", f"data.masks={folder / 'labels'}"]
    return [*paths, *NETWORK, "data.height=null", "evidence.flow.least_height=40", "device=cpu"]


def test_a_label_more_in_the_same_folder_or_from_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both come to the same weights. What did not change is not computed again."""
    run, second = folder / "run", folder / "second"
    train(f"from={run}", f"run_dir={second}", *own(folder)[:2])
    assert f"starting {second} on cpu, step 4 of 7, round 2" in capsys.readouterr().out
    assert checkpoint(run)["step"] == 4
    train(*own(folder)[:2], f"run_dir={run}")
    printed = capsys.readouterr().out
    assert "the label file 00004.png was added since the run last read it" in printed
    assert "step 4 of 7, round 2" in printed
    assert not {"optical flow", "motion"} & set(read(run, "metrics.json")["phases"])
    assert_same_training(run, second)
    masks = [sorted((each / "predictions" / "masks").iterdir()) for each in (run, second)]
    assert [path.read_bytes() for path in masks[0]] == [path.read_bytes() for path in masks[1]]
    for each in (run, second):
        told = [(one["steps"], one["labelled_frames"]) for one in read(each, "metrics.json")["rounds"]]
        assert (told, read(each, "metrics.json")["steps"]) == ([(4, 2), (3, 3)], 7)
        assert read(each, "run.json")["round"] == 2
    assert [session["round"] for session in read(run, "run.json")["sessions"]] == [1, 2]
    assert read(second, "run.json")["changed"] == ["the label file 00004.png was added since the run last read it"]
    assert f"from_run: {run}\n" in (second / "config.yaml").read_text()
    for each, steps in ((run, [1, 2, 3, 4, 5, 6, 7]), (second, [5, 6, 7])):
        events = EventAccumulator(str(each / "tensorboard")).Reload()
        assert [event.step for event in events.Scalars("training/loss")] == steps


def test_the_same_labels_train_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor do they in another file of the same content."""
    run = folder / "run"
    (folder / "labels" / "00004.png").unlink()
    with Image.open(folder / "labels" / "00000.png") as image:
        image.save(folder / "labels" / "00000.png", compress_level=0)
    before = checkpoint(run)
    train(*own(folder)[:2], f"run_dir={run}")
    assert "step 4 of 4" in capsys.readouterr().out
    torch.testing.assert_close(before["weights"], checkpoint(run)["weights"], rtol=0, atol=0)


KILLED = """
import os, signal, sys
import torch; torch.set_num_threads({threads})
from revseg.cli.main import train as main
from revseg.training.trainer import Trainer
step = Trainer._step
def killed(self, *rest):
    step(self, *rest)
    if self.progress.step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
Trainer._step = killed
main()
"""


def test_killed_twice_in_the_second_round_it_ends_at_the_same_weights(folder: Path) -> None:
    """Before there is a checkpoint of that round, and after it."""
    straight, killed = folder / "straight", folder / "killed"
    given = [f"from={folder / 'run'}", *own(folder)[:2]]
    train(*given, f"run_dir={straight}")
    for step, arguments in ((5, given), (7, [])):
        program = KILLED.format(threads=torch.get_num_threads(), step=step)
        command = [sys.executable, "-c", program, *arguments, f"run_dir={killed}"]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=600)
        assert done.returncode == -signal.SIGKILL
        assert (killed / "checkpoints" / "last.pt").exists() == (step > 6)
    train(f"run_dir={killed}")
    assert_same_training(straight, killed)
    states = [session["state"] for session in read(killed, "run.json")["sessions"]]
    assert states == ["interrupted", "interrupted", "finished"]


def test_another_object_in_the_second_round(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows begin fresh, those of the first object are kept; the number of classes that was given is not exceeded."""
    run = folder / "run"
    mask = read_mask(folder / "labels" / "00004.png", "davis2017")
    mask[:3, -4:] = 7
    write_mask(folder / "labels" / "00004.png", mask)
    before, labels = checkpoint(run), own(folder)[:2]
    sentence = refusal(capsys, f"from={run}", *labels, f"run_dir={folder / 'few'}", "network.classes=2")
    assert "show object 1, 7, but network.classes=2 has room for 1; train with network.classes=3" in sentence
    assert not (folder / "few").exists()
    train(*labels, f"run_dir={run}", "training.finetune_steps=1", "training.optimizer.rate=1e-9")
    after = checkpoint(run)
    assert (after["network"]["classes"], after["recipe"]["objects"]) == (3, [1, 7])
    kept = after["weights"]["head.weight"][:2, [*range(6), 7]]  # the plane of the further object lies before the confidence
    torch.testing.assert_close(kept, before["weights"]["head.weight"], rtol=0, atol=1e-6)
    written = read_mask(run / "predictions" / "masks" / "00004.png", "davis2017")
    assert np.array_equal(written, mask)


def test_what_no_round_can_begin_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, labels, new = folder / "run", own(folder)[:2], f"run_dir={folder / 'new'}"
    assert f"from_run and run_dir are both {run}; leave from_run out" in refusal(capsys, f"from={run}", f"run_dir={run}")
    missing = refusal(capsys, f"from={folder / 'labels'}", *labels, new)
    assert f"from_run={folder / 'labels'} has no config.yaml; give the folder of a run that was trained" in missing
    other = refusal(capsys, f"from={run}", *labels, new, "seed=1")
    assert other.endswith(f"{run} was begun with seed=0, not 1; set it back, or leave from_run out")
    wider = refusal(capsys, f"from={run}", *labels, new, "network.rank=5")
    assert "another architecture than asked for: network.rank=[5, 5] (there [4, 4])" in wider
    assert "is for one video; leave it out for a dataset" in refusal(capsys, f"from={run}", "experiment=davis", new)
    write_video(folder / "other", objects=2)
    sentence = refusal(capsys, f"from={run}", f"data.video={folder / 'other' / 'frames'}", labels[1], new)
    assert f"{run} was begun with another video than {folder / 'other' / 'frames'} is now; give that one, or leave" in sentence
    assert not (folder / "new").exists()
