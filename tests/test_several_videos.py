"""revseg-predict on several videos: one failure does not stop the others."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from revseg import predict as module
from revseg.cli.main import predict as main
from revseg.video.read import read_video
from tests import little
from tests.test_predict import save_guided

pytestmark = pytest.mark.slow


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls the command in a folder with clips/a, clips/b and a network; returns the exit status."""
    for folder in ("clips", "labels"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        frames, masks = little.write_video(tmp_path / name, objects=2)
        frames.rename(tmp_path / "clips" / name)
        masks.rename(tmp_path / "labels" / name)
    save_guided(tmp_path / "guided.pt", label_count=2)
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> int:
        always = ["revseg-predict", "device=cpu", "checkpoint=guided.pt", "evidence.flow.least_height=40", "placements=1"]
        monkeypatch.setattr(sys, "argv", [*always, *words])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return call


def masks_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder, "masks").iterdir())


def test_one_failure_does_not_stop_the_others(predict: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    Path("broken.mp4").write_bytes(b"nothing")
    assert predict("broken.mp4", "clips/*", "data.start=2", "data.end=5") == 1
    out, err = capsys.readouterr()
    assert err == "revseg: 1 of 3 videos failed: broken.mp4\n"
    assert out.count("checkpoint: guided.pt") == 1
    table = [line.split(maxsplit=2) for line in out.splitlines()[-3:]]
    assert [row[:2] for row in table] == [["broken.mp4", "failed"], ["clips/a", "done"], ["clips/b", "done"]]
    assert "broken.mp4 is not a video, or it is truncated" in table[0][2]
    assert [row[2] for row in table[1:]] == ["predictions/a", "predictions/b"]
    for name in "ab":
        assert masks_in(f"predictions/{name}") == ["00002.png", "00003.png", "00004.png"]
        note = json.loads(Path("predictions", name, "prediction.json").read_text())
        assert (note["start"], note["end"], note["frames"]) == ("2", "5", 3)
        overlay, whole = read_video(Path("predictions", name, "overlay.mp4")), read_video(Path("clips", name))
        assert overlay.timestamps == whole.timestamps[:3]
        with av.open(str(Path("predictions", name, "overlay.mp4"))) as container:
            assert next(container.decode(video=0)).time == 0  # the part begins at its own first frame


def test_each_has_its_labels_and_its_folder(predict: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    given = ["clips/b", "clips/a", "data.masks=labels", "output=out", "data.max_frames=4"]
    assert predict(*given) == 0
    for name in "ab":
        for file in masks_in(f"out/{name}"):
            assert np.array_equal(
                *(np.array(Image.open(Path(folder, file))) for folder in (f"out/{name}/masks", f"labels/{name}"))
            )
    shutil.rmtree("labels/a")
    shutil.rmtree("out")
    assert predict(*given) == 1
    assert "data.masks=labels has no folder a, but each of several videos has its labels there" in capsys.readouterr().err
    assert not Path("out").exists()


def test_an_interruption_keeps_what_is_done(
    predict: Callable[..., int], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = module.segment

    def interrupted(path: Path, *arguments: object, **settings: object) -> None:
        if path.name == "b":
            raise KeyboardInterrupt
        segment(path, *arguments, **settings)

    monkeypatch.setattr(module, "segment", interrupted)
    assert predict("clips/a", "clips/b", "missing.mp4", "data.max_frames=2") == 130
    out, err = capsys.readouterr()
    assert err == "revseg: interrupted\n"
    states = [line.split()[:2] for line in out.splitlines()[-3:]]
    assert states == [["clips/a", "done"], ["clips/b", "stopped"], ["missing.mp4", "not"]]
    assert len(masks_in("predictions/a")) == 2


def test_no_video(predict: Callable[..., int], capsys: pytest.CaptureFixture) -> None:
    assert predict() == 1
    assert capsys.readouterr().err == "revseg: data.video is not set; give data.video=my.mp4, or my.mp4 alone\n"
    assert predict("clips/a", "data.videos=[clips/b]") == 1
    assert "data.videos is a list in place of data.video" in capsys.readouterr().err
