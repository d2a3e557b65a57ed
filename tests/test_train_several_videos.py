"""revseg-train on several videos with a few labels each: one network, all of them segmented."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from revseg.cli.main import train as main
from revseg.labels.masks import read_mask
from tests import little

pytestmark = pytest.mark.slow


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls the command in a folder with clips/a of one object, clips/b of two, and their labels; returns the exit status."""
    for number, name in enumerate("ab", 1):
        frames, masks = little.write_video(tmp_path / name, objects=number)
        (tmp_path / "clips").mkdir(exist_ok=True)
        (tmp_path / "labels").mkdir(exist_ok=True)
        frames.rename(tmp_path / "clips" / name)
        masks.rename(tmp_path / "labels" / name)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> int:
        always = ["data.masks=labels", "data.labelled_frames=2", "data.height=null", "device=cpu", "run_dir=run", *little.NETWORK]
        given = ["evidence.flow.least_height=40", "placements=1", "training.steps=4"]
        monkeypatch.setattr(sys, "argv", ["revseg-train", *always, *given, *words])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call


def test_one_network_learns_from_all_and_segments_each(train: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    assert train("data.videos=[clips/*]") == 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert sorted(metrics["videos"]) == ["a", "b"]
    assert sorted(metrics["videos"]["b"]["objects"]) == ["1", "2"]
    assert metrics["J"] == np.mean([metrics["videos"][name]["J"] for name in "ab"])
    for name, objects in (("a", {1}), ("b", {1, 2})):
        found = [read_mask(path, "davis2017") for path in sorted(Path("run/predictions", name, "masks").iterdir())]
        assert len(found) == little.FRAMES
        assert set(np.unique(found[0])) - {0} == objects  # the labelled frame keeps its labels
    record = json.loads(Path("run/run.json").read_text())
    assert record["video"]["path"].endswith("clips/a and 1 more")
    assert {"a/00000.png", "b/00007.png"} < set(record["labels"])
    # The same run goes on with the videos that it began with, and says where a pattern would mean others.
    capsys.readouterr()
    assert train("training.steps=5") == 0
    assert "resuming run on cpu, step 4 of 5" in capsys.readouterr().out
    shutil.copytree("clips/a", "clips/c")
    shutil.copytree("labels/a", "labels/c")
    assert train("data.videos=[clips/*]") == 1
    assert "run was begun with data.videos=[" in capsys.readouterr().err


def test_what_is_missing_is_told_before_anything_is_decoded(train: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    shutil.rmtree("labels/b")
    assert train("data.videos=[clips/a,clips/b]") == 1
    assert "labels has no folder b, but each of several videos has its labels there: give those of" in capsys.readouterr().err
    assert not Path("run").exists()
    assert train("data.videos=[clips/a,clips/a]", "task=dataset") == 1
    assert "data.videos names videos, and task=dataset takes those of data.root" in capsys.readouterr().err


def test_an_id_by_another_name_is_told(train: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    for name, label in (("a", "dog"), ("b", "cat")):
        shutil.rmtree(f"labels/{name}")
        square = [[3.0, 4.0], [11.0, 4.0], [11.0, 10.0], [3.0, 10.0]]
        shape = {"label": label, "points": square, "shape_type": "polygon", "group_id": None, "flags": {}}
        size = {"imageHeight": little.HEIGHT, "imageWidth": little.WIDTH}
        content = {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": "00000.png", "imageData": None, **size}
        Path("labels", name).mkdir()
        Path("labels", name, "00000.json").write_text(json.dumps(content))
    assert train("data.videos=[clips/a,clips/b]", "data.labelled_frames=null") == 1
    assert "is 'cat', but was 'dog' before: give data.names=" in capsys.readouterr().err
    assert train("data.videos=[clips/a,clips/b]", "data.labelled_frames=null", "data.names=[dog,cat]") == 0
