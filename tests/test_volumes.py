"""A volume from files to masks: labels of a few voxels, any number of channels, and another volume with the same scale."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from revseg.cli.main import plan as plan_main
from revseg.cli.main import predict as predict_main
from revseg.cli.main import train as train_main
from revseg.labels.masks import read_mask
from revseg.training.checkpoint import load
from tests.little import NETWORK

pytestmark = pytest.mark.slow

SHAPE = T, H, W = 10, 20, 30
RECIPE = ["experiment=volume", *NETWORK, "network.channels=4", "training.steps=40", "device=cpu"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A box of other values in two of four channels, 60 voxels of it and around it labelled, and all of its truth."""
    folder, random = tmp_path_factory.mktemp("volume"), np.random.default_rng(0)
    truth = np.zeros(SHAPE, np.uint8)
    truth[3:8, 5:15, 8:20] = 1
    volume = random.normal(size=(*SHAPE, 4)).astype(np.float32)
    volume[..., 1] += 3 * truth
    volume[..., 3] -= 3 * truth
    known, points = np.full(SHAPE, 255, np.uint8), random.choice(truth.size, 100, replace=False)
    known.ravel()[points] = truth.ravel()[points]
    for name, array in (("volume", volume), ("truth", truth), ("labels", known)):
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.fixture
def call(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Calls a command in the folder of the files; returns what it prints."""
    monkeypatch.chdir(files)

    def run(main, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["revseg", *arguments])
        main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(call, capsys: pytest.CaptureFixture):
    """Calls a command that ends with one sentence."""

    def run(main, *arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            call(main, *arguments)
        assert stop.value.code == 1
        (sentence,) = capsys.readouterr().err.splitlines()
        return sentence

    return run


@pytest.fixture
def run(files: Path, call) -> Path:
    """The folder of a run that was trained on the labelled voxels."""
    if not (files / "run").exists():
        call(train_main, "data.video=volume.npy", "data.masks=labels.npy", "data.truth=truth.npy", "run_dir=run", *RECIPE)
    return files / "run"


def test_a_few_labelled_voxels_segment_the_volume(run: Path, files: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["volume_J"] == metrics["objects"]["1"]["volume_J"] > 0.5
    assert metrics["labelled"]["J"] > 0.5
    assert metrics["baseline"] is None
    assert metrics["label_next"] == []
    masks = np.load(run / "predictions" / "masks.npy")
    assert (masks.shape, masks.dtype) == (SHAPE, np.uint8)
    assert np.array_equal(masks[4], read_mask(run / "predictions" / "masks" / "00004.png", "davis2017"))
    truth, known = np.load(files / "truth.npy"), np.load(files / "labels.npy")
    left = known == 255
    both, either = ((masks == 1) & (truth == 1))[left].sum(), ((masks == 1) | (truth == 1))[left].sum()
    assert metrics["volume_J"] == pytest.approx(both / either)


def test_the_run_keeps_channels_and_scale(run: Path) -> None:
    checkpoint = load(run / "checkpoints" / "last.pt")
    assert checkpoint.network.video_channels == 4
    scale = np.asarray(checkpoint.recipe["scale"])
    assert scale.shape == (4, 2)
    assert json.loads((run / "predictions" / "prediction.json").read_text())["scale"] == scale.tolist()


def test_another_volume_is_scaled_as_the_first(run: Path, files: Path, call) -> None:
    """Half of it, in another order of axes and twice as precise: with a scale of its own its masks would be others."""
    half = np.load(files / "volume.npy").astype(np.float64)[:, :, 10:]
    np.save(files / "half.npy", np.moveaxis(half, -1, 0))
    call(predict_main, "half.npy", "data.axes=CTHW", "checkpoint=run", "output=half", "placements=1", "device=cpu")
    np.save(files / "same.npy", half)
    scale = json.dumps(json.loads((files / "half" / "prediction.json").read_text())["scale"], separators=(",", ":"))
    call(predict_main, "same.npy", f"data.scale={scale}", "checkpoint=run", "output=same", "placements=1", "device=cpu")
    assert np.array_equal(np.load(files / "half" / "masks.npy"), np.load(files / "same" / "masks.npy"))
    assert load(run / "checkpoints" / "last.pt").recipe["scale"] == tuple(map(tuple, json.loads(scale)))


def test_the_training_volume_gives_the_masks_of_the_run(run: Path, files: Path, call) -> None:
    call(predict_main, "volume.npy", "checkpoint=run", "output=again", "device=cpu")
    assert np.array_equal(np.load(files / "again" / "masks.npy"), np.load(run / "predictions" / "masks.npy"))


def test_a_finished_run_goes_on(run: Path, call) -> None:
    assert "resuming" in call(train_main, "run_dir=run")


def test_the_forecast_counts_all_channels(call, files: Path) -> None:
    assert "10 frames of 30 x 20" in call(plan_main, "volume.npy", *RECIPE)


def test_what_does_not_fit_is_refused(run: Path, files: Path, refused) -> None:
    np.save(files / "three.npy", np.load(files / "volume.npy")[..., :3])
    sentence = refused(predict_main, "three.npy", "checkpoint=run", "output=three", "device=cpu")
    assert "three.npy has 3 channels, but the network is for 4 (network.in_channels)" in sentence
    given = ["data.video=volume.npy", "data.masks=labels.npy", "run_dir=other", *RECIPE]
    assert "has 4 channels, but the network is for 5" in refused(train_main, *given, "network.in_channels=5")
    assert "set experiment=volume or evidence=none" in refused(
        train_main, *given[:3], "experiment=few_frames", *NETWORK, "data.height=null", "device=cpu"
    )
    assert "labels.npy labels nothing but what is trained on" in refused(train_main, *given, "data.truth=labels.npy")
    assert "data.scale has [3, 1]: give [low, high] with low < high" in refused(train_main, *given, "data.scale=[3,1]")
    assert not (files / "other").exists()
