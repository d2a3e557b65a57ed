"""revseg-train from the command line to the run folder; killed, stopped and resumed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from revseg.cli.main import predict
from revseg.cli.main import train as main
from revseg.network.config import NetworkConfig
from revseg.network.memory import forecast_training
from revseg.network.network import widened
from revseg.training.config import TrainingConfig
from revseg.training.feed import items_bytes
from revseg.training.loss import SegmentationLoss
from revseg.training.trainer import Trainer
from revseg.video.read import read_video
from tests.harm import full_disk
from tests.little import FRAMES, HEIGHT, NETWORK, WIDTH, arguments, write_video

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def train(*given: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["revseg-train", *given])
        main()


def train_killed(code: str, given: list[str]) -> subprocess.CompletedProcess[str]:
    """In a process of its own, after `code` has prepared its end."""
    program = f"import os, signal, sys\nfrom revseg.cli.main import train as main\n{code}\nmain()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", program, *given], env=environment, capture_output=True, text=True, timeout=120)


def checkpoint(run_dir: Path) -> dict:
    return torch.load(run_dir / "checkpoints" / "last.pt", weights_only=True)


def assert_same_state(one: dict, other: dict) -> None:
    """Weights and optimizer, bit for bit."""
    assert one["step"] == other["step"]
    torch.testing.assert_close(one["weights"], other["weights"], rtol=0, atol=0)
    torch.testing.assert_close(one["optimizer"]["parts"], other["optimizer"]["parts"], rtol=0, atol=0)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    write_video(folder)
    return folder


@pytest.fixture(scope="module")
def run_dir(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "a run"
    train(*arguments(video, folder, "training.steps=100", "training.evaluate_every=50"))
    return folder


def test_learns(run_dir: Path) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["labelled"]["J"] > 0.9
    assert metrics["J"] > 0.85 > metrics["baseline"]["J"]
    assert metrics["labelled_frames"] == [0, 4, 7]
    assert metrics["steps"] == 100
    assert metrics["seconds"] > 0
    assert metrics["peak_memory_bytes"] > 1e6


def test_predictions(run_dir: Path) -> None:
    masks = sorted((run_dir / "predictions" / "masks").iterdir())
    assert [path.name for path in masks] == [f"{index:05d}.png" for index in range(FRAMES)]
    with Image.open(masks[3]) as image:
        assert (image.mode, image.size) == ("P", (WIDTH, HEIGHT))
    with av.open(str(run_dir / "predictions" / "overlay.mp4")) as container:
        sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert sizes == [(WIDTH, HEIGHT)] * FRAMES


def test_what_to_expect_of_each_frame_and_which_to_label_next(run_dir: Path) -> None:
    """Nothing but the probabilities tells: the mean is near the truth, and no frame that has a label needs another."""
    metrics = json.loads((run_dir / "metrics.json").read_text())
    expected = json.loads((run_dir / "predictions" / "prediction.json").read_text())["expected_J"]
    assert len(expected) == FRAMES
    unlabelled = [index for index in range(FRAMES) if index not in metrics["labelled_frames"]]
    assert metrics["expected_J"] == pytest.approx(np.mean([expected[index] for index in unlabelled]))
    assert metrics["expected_J"] == pytest.approx(metrics["J"], abs=0.1)
    worst = sorted((min(stretch, key=lambda index: expected[index]) for stretch in ([1, 2, 3], [5, 6])), key=expected.__getitem__)
    assert metrics["label_next"] == [f"{index:05d}" for index in worst]


def test_tensorboard(run_dir: Path) -> None:
    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"images": 0}).Reload()
    tags = events.Tags()
    assert {
        "training/loss",
        "training/learning_rate",
        "training/gradient_norm",
        "training/state_range",
        "memory/peak_GB",
        "speed/frames_per_second",
        "labelled/J",
        "held_out/J",
        "held_out/F",
        "held_out/JF",
        "network alone/held_out/J",
    } <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("training/loss")] == list(range(1, 101))
    assert len(tags["images"]) == 4
    assert [event.step for event in events.Images(tags["images"][0])] == [50, 100]
    assert tags["tensors"] == ["config/text_summary"]


def test_finished_run_goes_on_with_more_steps(run_dir: Path, video: Path, capsys) -> None:
    before = checkpoint(run_dir)["step"]
    train(*arguments(video, run_dir, f"training.steps={before + 2}"))
    assert f"resuming {run_dir}" in capsys.readouterr().out
    assert checkpoint(run_dir)["step"] == before + 2


KILLED = {
    "between two steps": """
from revseg.training.trainer import Trainer
step = Trainer._step
def killed(self, *rest):
    step(self, *rest)
    if self.progress.step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
Trainer._step = killed
""",
    "while it saves": """
import pathlib
write = pathlib.Path.write_bytes
saved = []
def killed(self, content):
    saved.append(self)
    if len(saved) == 3:
        write(self, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, content)
pathlib.Path.write_bytes = killed
""",
}


@pytest.mark.parametrize("when", KILLED)
def test_killed_and_resumed_is_equal_bit_for_bit(when: str, video: Path, tmp_path: Path) -> None:
    settings = ["training.steps=10", "training.checkpoint_every=3", "training.evaluate_every=4"]
    more = ["training.accumulation=2"]
    threads = torch.get_num_threads()
    code = f"import torch; torch.set_num_threads({threads})\n{KILLED[when]}"
    straight, killed = (arguments(video, tmp_path / name, *settings, *more) for name in ("straight", "killed"))
    train(*straight)
    assert train_killed(code, killed).returncode == -signal.SIGKILL
    assert 0 < checkpoint(tmp_path / "killed")["step"] < 10
    train(*killed)
    assert_same_state(checkpoint(tmp_path / "straight"), checkpoint(tmp_path / "killed"))
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()] == ["last.pt"]


GROWING = [
    *("training.steps=14", "training.checkpoint_every=3", "training.optimizer.rate=0.15", "network.grid_bits=12"),
    "evidence.flow.least_height=384",
    "network.convolution_dtype=float32",  # a trial for each dtype of the states would find another one on a busy machine
]
"""Settings of a training whose states leave +-8, the range of int16 on that grid, half-way."""


def test_states_that_leave_16_bits_go_on_in_32(video: Path, tmp_path: Path, capsys) -> None:
    """Nothing is lost: the weights are those of a run that had 32 bits from the start. Killed after it, it goes on with 32."""
    narrow, killed, wide = (
        arguments(video, tmp_path / name, *GROWING, f"network.state_dtype={dtype}")
        for name, dtype in (("narrow", "int16"), ("killed", "int16"), ("wide", "float32"))
    )
    train(*wide)
    assert "left the range" not in capsys.readouterr().out
    train(*narrow)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "left the range" in line]
    step = int(line.split()[1].rstrip(":"))
    assert 4 < step < 12
    assert line.endswith(" GB")
    assert "left the range of int16 and go on in float32" in line
    assert_same_state(checkpoint(tmp_path / "narrow"), checkpoint(tmp_path / "wide"))
    assert checkpoint(tmp_path / "narrow")["network"]["state_dtype"] == "float32"
    assert checkpoint(tmp_path / "narrow")["network"]["grid_bits"] == 12

    later = KILLED["between two steps"].replace("== 7", "== 13")
    code = f"import torch; torch.set_num_threads({torch.get_num_threads()})\n{later}"
    assert train_killed(code, killed).returncode == -signal.SIGKILL
    assert checkpoint(tmp_path / "killed")["network"]["state_dtype"] == "float32"
    train(*killed)
    assert "left the range" not in capsys.readouterr().out
    assert_same_state(checkpoint(tmp_path / "killed"), checkpoint(tmp_path / "wide"))


def test_states_that_leave_16_bits_stop_where_32_do_not_fit(video: Path, tmp_path: Path, capsys) -> None:
    given = arguments(video, tmp_path / "run", *GROWING, "network.state_dtype=int16")
    size = (FRAMES, HEIGHT, WIDTH)
    network = NetworkConfig(
        channels=2, levels=1, depth=1, rank=4, state_dtype="int16", adjoint_dtype="bfloat16", grid_bits=12, evidence=True
    )
    narrow, wide = (forecast_training(c, size, device="cpu", labelled_frames=3).total for c in (network, widened(network)))
    budget = (narrow + wide) / 2 + items_bytes(network, size, TrainingConfig().ahead)
    sentence = refusal(capsys, *given, f"training.memory_budget={budget / 1e9}")
    assert "beyond +-8, the range in which int16 states" in sentence
    assert "states of 32 bits would take 0.00 GB, but 0.00 GB may be used (training.memory_budget)" in sentence
    assert checkpoint(tmp_path / "run")["step"] >= 3


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_saves_and_says_how_to_go_on(name: str, video: Path, tmp_path: Path) -> None:
    signum = signal.Signals[name]
    code = f"""
from revseg.training.trainer import Trainer
step = Trainer._step
def stopped(self, *rest):
    if self.progress.step == 2:
        os.kill(os.getpid(), signal.{name})
    step(self, *rest)
Trainer._step = stopped
"""
    given = arguments(video, tmp_path / "my run")
    done = train_killed(code, given)
    assert done.returncode == 128 + signum
    assert checkpoint(tmp_path / "my run")["step"] == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"revseg: stopped by {name} after step 3")
    assert last.endswith(f"'run_dir={tmp_path / 'my run'}'")
    assert "Traceback" not in done.stderr


def refusal(capsys, *given: str) -> str:
    """The sentence that revseg-train stops with."""
    with pytest.raises(SystemExit) as stop:
        train(*given)
    assert stop.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_another_architecture_is_refused(run_dir: Path, video: Path, capsys) -> None:
    sentence = refusal(capsys, *arguments(video, run_dir, "network.rank=5", "network.channels=3"))
    assert "network.channels=3 (there 2), network.rank=[5, 5] (there [4, 4])" in sentence
    assert "rank: 4\n" in (run_dir / "config.yaml").read_text()  # those of the run stay
    record = json.loads((run_dir / "run.json").read_text())
    assert record["state"] == "finished"
    assert not any("network.rank=5" in session["command"] for session in record["sessions"])


def test_other_data_are_refused(run_dir: Path, video: Path, capsys) -> None:
    before = checkpoint(run_dir)
    sentence = refusal(capsys, *arguments(video, run_dir, "data.labelled_frames=2"))
    assert "was begun with data.labelled_frames=3, not 2" in sentence
    assert_same_state(before, checkpoint(run_dir))


def test_not_finite_stops_before_the_update(video: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    value, calls = SegmentationLoss.value, []

    def broken(self: SegmentationLoss, statistics: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return value(self, statistics) * (float("nan") if len(calls) == 5 else 1)

    monkeypatch.setattr(SegmentationLoss, "value", broken)
    sentence = refusal(capsys, *arguments(video, tmp_path / "run", "training.checkpoint_every=4"))
    assert "step 5: the loss is nan" in sentence
    assert checkpoint(tmp_path / "run")["step"] == 4
    assert all(tensor.isfinite().all() for tensor in checkpoint(tmp_path / "run")["weights"].values())


def test_several_objects(tmp_path: Path, capsys) -> None:
    write_video(tmp_path, objects=2)
    given = arguments(tmp_path, tmp_path / "run", "training.steps=1")
    assert "show object 1, 2, but network.classes=2 has room for 1; train with" in refusal(capsys, *given, "network.classes=2")
    train(*given)
    assert checkpoint(tmp_path / "run")["network"]["classes"] == 3
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["J"] is not None


def test_nothing_to_train_on(capsys, tmp_path: Path) -> None:
    assert "or experiment=demo, which needs neither" in refusal(capsys, f"run_dir={tmp_path}")
    assert "data.masks is not set" in refusal(capsys, f"run_dir={tmp_path}", "data.video=my.mp4")
    assert "evidence.smoothing.sweeps is -1; give" in refusal(capsys, f"run_dir={tmp_path}", "evidence.smoothing.sweeps=-1")


def test_a_run_that_cannot_begin_leaves_no_folder(capsys, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    missing = [f"data.video={tmp_path / 'missing.mp4'}", f"data.masks={tmp_path}"]
    assert "missing.mp4" in refusal(capsys, *missing, f"run_dir={run_dir}")
    assert not run_dir.exists()
    write_video(tmp_path)
    assert "GB may be used" in refusal(capsys, *arguments(tmp_path, run_dir, "training.memory_budget=1e-6"))
    assert not run_dir.exists()
    (run_dir / "notes").mkdir(parents=True)
    assert "missing.mp4" in refusal(capsys, *missing, f"run_dir={run_dir}")
    assert (run_dir / "notes").is_dir()
    assert not (run_dir / "config.yaml").exists()


def kept(run_dir: Path) -> dict[str, bytes]:
    """What a run must not lose."""
    names = [
        "checkpoints/last.pt",
        "metrics.json",
        *(path.relative_to(run_dir) for path in (run_dir / "predictions").rglob("*.*")),
    ]
    return {str(name): (run_dir / name).read_bytes() for name in names}


def test_a_full_disk_harms_nothing_that_was_there(run_dir: Path, video: Path, capsys) -> None:
    """A limit on the size of files, which the system enforces as it does the size of a disk."""
    before, steps = kept(run_dir), checkpoint(run_dir)["step"]
    inline = "data.decoder=inline"  # memory that is shared is a file for this limit
    with full_disk(20_000):
        sentence = refusal(capsys, *arguments(video, run_dir, f"training.steps={steps + 2}", inline))
    last = run_dir / "checkpoints" / "last.pt"
    assert sentence == f"revseg: cannot write {last}: File too large; free space there or choose another output folder"
    assert kept(run_dir) == before
    assert not list(run_dir.rglob("*.partial"))
    train(*arguments(video, run_dir, f"training.steps={steps + 2}"))
    assert checkpoint(run_dir)["step"] == steps + 2


def test_a_run_whose_folder_is_removed_ends_and_does_not_bring_it_back(video: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    step = Trainer._step

    def removed(self: Trainer, *rest: Any) -> None:
        step(self, *rest)
        while self.progress.step == 3 and (tmp_path / "run").exists():
            # TensorBoard's thread may write its file again between the removal of the files and of the folder.
            shutil.rmtree(tmp_path / "run", ignore_errors=True)

    monkeypatch.setattr(Trainer, "_step", removed)
    run_dir = tmp_path / "run"
    sentence = refusal(capsys, *arguments(video, run_dir, "training.steps=9", "training.checkpoint_every=5"))
    last = run_dir / "checkpoints" / "last.pt"
    removed_sentence = f"{run_dir} was removed, or .lock in it, while a process worked there; start again"
    assert sentence == f"revseg: cannot write {last}: {removed_sentence}"
    assert not run_dir.exists()


def test_run_dir_that_cannot_be_written(capsys, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sentence = refusal(capsys, "experiment=demo", f"run_dir={tmp_path / 'file' / 'run'}")
    assert "cannot write" in sentence
    assert "run_dir=" in sentence


def test_davis(clip_root: Path, tmp_path: Path, capsys) -> None:
    data = [f"data.root={clip_root}", "data.height=24", "data.max_frames=3"]
    more = [
        "experiment=davis",
        "network.levels=2",
        "network.depth=[0,1,1]",
        "device=cpu",
        "training.steps=3",
        "evidence.cache=true",
    ]
    train(*data, *more, f"run_dir={tmp_path}")
    assert "all (unsupervised)" in capsys.readouterr().out
    content = json.loads((tmp_path / "validation.json").read_text())
    names = (clip_root / "ImageSets" / "2016" / "val.txt").read_text().split()
    assert list(content["sequences"]) == names
    assert json.loads((tmp_path / "metrics.json").read_text())["JF"] == pytest.approx(content["overall"]["JF"])
    for name in names:
        masks = sorted((tmp_path / "predictions" / name / "masks").iterdir())
        assert [path.name for path in masks] == ["00000.png", "00001.png", "00002.png"]
        expected = json.loads((tmp_path / "predictions" / name / "prediction.json").read_text())["expected_J"]
        assert len(expected) == 3
        assert all(0 <= value <= 1 for value in expected)
    kept = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "evidence").glob("*.npz")}
    assert len([name for name in kept if name.startswith("motion-seen")]) >= len(names)
    train(*data, *more, "training.steps=4", f"run_dir={tmp_path}")  # goes on, with the evidence that is there
    assert {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "evidence").glob("*.npz")}.items() >= kept.items()


def test_davis_without_evidence(clip_root: Path, tmp_path: Path) -> None:
    data = [f"data.root={clip_root}", "data.height=24", "data.max_frames=3"]
    more = ["network=medium", "network.levels=1", "network.depth=1", "device=cpu", "training.steps=1", "evidence=none"]
    train("experiment=davis", *data, *more, f"run_dir={tmp_path}")
    assert not (tmp_path / "evidence").exists()


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the demo, small; labels are carried along at 480 lines, or the video's own height if that is less."""
    folder = tmp_path_factory.mktemp("guided") / "run"
    network = NETWORK
    more = ["data.height=24", "data.max_frames=9", "placements=1", "training.steps=6", "training.evaluate_every=3", "device=cpu"]
    train("experiment=demo", *network, *more, f"run_dir={folder}")
    return folder


def test_a_guided_run_leaves_masks_at_the_size_of_the_video(guided: Path) -> None:
    truth = read_video(guided / "data" / "demo.mp4").volume.shape[2:]
    assert truth[0] > 24
    masks = sorted((guided / "predictions" / "masks").iterdir())
    assert len(masks) == 9
    for path in masks:
        with Image.open(path) as image:
            assert (image.mode, image.size[::-1]) == ("P", tuple(truth))


def test_labelled_frames_keep_their_labels(guided: Path) -> None:
    """Bit for bit, where they are carried along at the size of the video."""
    for frame in json.loads((guided / "metrics.json").read_text())["labelled_frames"]:
        found, given = (guided / folder / f"{frame:05d}.png" for folder in ("predictions/masks", "data/masks"))
        assert np.array_equal(np.array(Image.open(found)), np.array(Image.open(given)))


def test_a_guided_run_is_as_good_as_what_it_is_shown_from_the_first_step(guided: Path) -> None:
    metrics = json.loads((guided / "metrics.json").read_text())
    assert set(metrics["objects"]) == {"1"}
    for measures in (metrics, metrics["objects"]["1"]):
        assert {"J", "F", "JF"} <= set(measures)
        assert measures["J"] > 0.8
    assert metrics["objects"]["1"]["J"] == pytest.approx(metrics["J"])
    assert metrics["J"] > metrics["baseline"]["J"]
    assert metrics["labelled"]["J"] > 0.9
    assert metrics["steps"] == 6


def test_a_guided_run_predicts_another_video(guided: Path, video: Path, tmp_path: Path, monkeypatch) -> None:
    """From the checkpoint alone, with a mask."""
    (tmp_path / "masks").mkdir()
    shutil.copy(video / "masks" / "00003.png", tmp_path / "masks")
    given = [str(video / "frames"), f"data.masks={tmp_path / 'masks'}", f"output={tmp_path / 'out'}", "device=cpu"]
    monkeypatch.setattr(sys, "argv", ["revseg-predict", *given, f"checkpoint={guided / 'checkpoints' / 'last.pt'}"])
    predict()
    assert len(list((tmp_path / "out" / "masks").iterdir())) == FRAMES


def test_with_evidence_and_without_are_different_networks(guided: Path, capsys) -> None:
    sentence = refusal(capsys, f"run_dir={guided}", "network.evidence=false")
    assert "network.evidence=False (there True)" in sentence


def killed_after(step: int, given: list[str]) -> None:
    """Runs revseg-train until SIGKILL ends it after a step."""
    code = KILLED["between two steps"].replace("== 7", f"== {step}")
    threads = f"import torch; torch.set_num_threads({torch.get_num_threads()})"
    assert train_killed(f"{threads}\n{code}", given).returncode == -signal.SIGKILL


SHORT = ["training.steps=6", "training.checkpoint_every=3"]


def test_the_folder_alone_resumes_a_run_from_anywhere(video: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """With its own settings, though paths were relative; and no optical flow is computed again."""
    monkeypatch.chdir(video)
    data = ["data.video=frames", "data.masks=masks", "data.labelled_frames=3", "data.height=null", "device=cpu", *NETWORK, *SHORT]
    killed_after(4, [*data, f"run_dir={tmp_path / 'killed'}"])
    train(*data, f"run_dir={tmp_path / 'straight'}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    train(f"run_dir={tmp_path / 'killed'}")
    printed = capsys.readouterr().out
    assert f"resuming {tmp_path / 'killed'} on cpu, step 3 of 6" in printed
    assert "optical flow" not in printed
    assert "carrying labels" not in printed
    assert_same_state(checkpoint(tmp_path / "straight"), checkpoint(tmp_path / "killed"))
    masks = [sorted((tmp_path / name / "predictions" / "masks").iterdir()) for name in ("straight", "killed")]
    assert [path.read_bytes() for path in masks[0]] == [path.read_bytes() for path in masks[1]]


def test_settings_that_contradict_a_run_are_named(video: Path, tmp_path: Path, capsys) -> None:
    train(*arguments(video, tmp_path / "run", "training.steps=1"))
    folder = f"run_dir={tmp_path / 'run'}"
    assert "was begun with seed=0, not 1; set it back, or change run_dir" in refusal(capsys, folder, "seed=1")
    sentence = refusal(capsys, folder, "evidence.flow.finest_scale=1")
    assert "was begun with evidence.flow.finest_scale=0, not 1" in sentence
    assert "was begun with experiment=few_frames, not davis" in refusal(capsys, folder, "experiment=davis")
    train(folder, "training.steps=2")
    assert checkpoint(tmp_path / "run")["step"] == 2


def test_an_edited_label_is_told_and_another_video_refused(tmp_path: Path, capsys) -> None:
    write_video(tmp_path)
    given = arguments(tmp_path, tmp_path / "run", "training.steps=1")
    train(*given)
    with Image.open(tmp_path / "masks" / "00004.png") as image:
        image.load()
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "masks" / "00004.png")
    capsys.readouterr()
    train(*given)
    assert "the label file 00004.png changed since the run last read it" in capsys.readouterr().out
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "frames" / "00002.png")
    assert "was begun with another video" in refusal(capsys, *given)


def test_a_second_training_in_the_same_folder_stops(video: Path, tmp_path: Path, capsys) -> None:
    given = arguments(video, tmp_path / "run", *SHORT)
    waiting = f"import torch; torch.set_num_threads(1)\n{WAITS}"
    command = [sys.executable, "-c", f"import os, sys\nfrom revseg.cli.main import train as main\n{waiting}\nmain()", *given]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GO_ON": str(tmp_path / "go on"), "STARTED": str(tmp_path / "started")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
        while not (tmp_path / "started").exists() and first.poll() is None:
            time.sleep(0.1)
        before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
        assert f"{tmp_path / 'run'} is in use by process {first.pid}" in refusal(capsys, *given)
        assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
        (tmp_path / "go on").touch()
        assert first.wait(60) == 0
    assert checkpoint(tmp_path / "run")["step"] == 6


WAITS = """
import pathlib, time
from revseg.training.trainer import Trainer
step = Trainer._step
def waits(self, *rest):
    pathlib.Path(os.environ["STARTED"]).touch()
    while not pathlib.Path(os.environ["GO_ON"]).exists():
        time.sleep(0.05)
    step(self, *rest)
Trainer._step = waits
"""


def test_predicting_the_training_video_gives_the_masks_of_the_run(
    run_dir: Path, video: Path, tmp_path: Path, monkeypatch
) -> None:
    """With the placements and the evidence of the training, and the same labels."""
    labels = tmp_path / "labels"
    labels.mkdir()
    for frame in (0, 4, 7):
        shutil.copy(video / "masks" / f"{frame:05d}.png", labels)
    given = [str(video / "frames"), f"data.masks={labels}", f"checkpoint={run_dir}", f"output={tmp_path / 'out'}", "device=cpu"]
    monkeypatch.setattr(sys, "argv", ["revseg-predict", *given])
    predict()
    one, other = (sorted((folder / "masks").iterdir()) for folder in (run_dir / "predictions", tmp_path / "out"))
    assert len(one) == FRAMES
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_what_a_run_says_of_itself(run_dir: Path) -> None:
    record = json.loads((run_dir / "run.json").read_text())
    assert record["sessions"][0]["state"] == "finished"
    assert set(record["labels"]) == {f"{frame:05d}.png" for frame in range(FRAMES)}
    assert len(record["video"]["sha256"]) == 64
    assert (run_dir / ".hydra" / "overrides.yaml").is_file()
    log = (run_dir / "train.log").read_text()
    assert "training: " in log
    assert "\r" not in log
    phases = json.loads((run_dir / "metrics.json").read_text())["phases"]
    assert {"decoding", "segmenting", "writing"} <= set(phases)  # of the last process: a test before resumed the run
    assert all(
        f"{name}: " in log for name in ("decoding", "optical flow", "carrying labels", "training", "segmenting", "writing")
    )


def test_a_run_that_has_ended_writes_other_formats(run_dir: Path, video: Path) -> None:
    """Without a step more; what is asked for once is kept by the run."""
    step = checkpoint(run_dir)["step"]
    train(f"run_dir={run_dir}", "device=cpu", "output.formats=coco")
    train(f"run_dir={run_dir}", "device=cpu")
    found = {path.name for path in (run_dir / "predictions").iterdir() if not path.name.startswith(".")}
    assert found == {"masks", "coco.json", "prediction.json"}
    assert checkpoint(run_dir)["step"] == step
    train(*arguments(video, run_dir, f"training.steps={step}", "output.formats=overlay"))
    assert (run_dir / "predictions" / "overlay.mp4").exists()
