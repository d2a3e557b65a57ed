"""Labels of a tool, from the command line to metrics.json, and to the prediction of another video."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.little import FRAMES, HEIGHT, NETWORK, WIDTH, write_video

ROOT = Path(__file__).resolve().parent.parent


def outline(left: float, top: float) -> list[list[float]]:
    return [[left, top], [left + 8, top], [left + 8, top + 6], [left, top + 6]]


def labels(folder: Path, *names: str) -> Path:
    """labelme files of all frames, with the squares of ``write_video``."""
    folder.mkdir()
    for frame in range(FRAMES):
        shapes = [
            {"label": name, "points": outline(3 + 2 * frame, 4 + 8 * number), "shape_type": "polygon"}
            for number, name in enumerate(names)
        ]
        content = {"shapes": shapes, "imagePath": f"{frame:05d}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (folder / f"{frame:05d}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.slow
def test_names_reach_the_metrics_and_another_video_must_number_them_alike(tmp_path: Path) -> None:
    def run(command: str, *arguments: str) -> tuple[int, str]:
        line = [sys.executable, "-m", f"revseg.{command}", *arguments]
        done = subprocess.run(line, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        return done.returncode, done.stderr if done.returncode else ""

    video, masks = write_video(tmp_path, objects=2)
    labels(tmp_path / "labelme", "dog", "cat")
    settings = [*NETWORK, "device=cpu", "data.height=null", "evidence.flow.least_height=40", "training.steps=1", "placements=1"]
    given = [f"data.video={video}", "data.masks=labelme", "data.names=[dog,cat]", "data.labelled_frames=3", "run_dir=run"]
    assert run("train", *given, *settings) == (0, "")
    objects = json.loads((tmp_path / "run" / "metrics.json").read_text())["objects"]
    assert {number: one["name"] for number, one in objects.items()} == {"1": "dog", "2": "cat"}
    written = np.array(Image.open(tmp_path / "run" / "predictions" / "masks" / "00000.png"))
    assert np.array_equal(written, np.array(Image.open(masks / "00000.png")))  # a labelled frame keeps its labels

    labels(tmp_path / "others", "dog", "cow")
    status, told = run("predict", str(video), "data.masks=others", "checkpoint=run", "output=out")
    assert status == 1
    assert "others show 'cow', which data.names lacks: add it, or leave data.names out" in told
    assert not (tmp_path / "out").exists()
