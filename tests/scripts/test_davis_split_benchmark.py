"""scripts/davis_split_benchmark.py on a made-up data set."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.little import write_video

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "davis_split_benchmark.py"
SMALL = ["network.levels=1", "network.depth=1", "network.rank=2", "network.channels=2", "device=cpu"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences in the layout of DAVIS 2016, one in each split."""
    folder = tmp_path_factory.mktemp("DAVIS")
    lists = folder / "ImageSets" / "2016"
    lists.mkdir(parents=True)
    for name, split in (("one", "train"), ("two", "val")):
        for kind, made in zip(("JPEGImages", "Annotations"), write_video(folder / "made" / name, objects=1), strict=True):
            (folder / kind / "480p").mkdir(parents=True, exist_ok=True)
            made.rename(folder / kind / "480p" / name)
        for path in (folder / "Annotations" / "480p" / name).iterdir():
            Image.fromarray((np.asarray(Image.open(path)) != 0).astype(np.uint8) * 255).save(path)
        (lists / f"{split}.txt").write_text(f"{name}\n")
    return folder


def run(root: Path, output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--root", str(root), "--output", str(output), "--height", "24", "--steps", "2"]
    return subprocess.run([*command, *arguments, *SMALL], capture_output=True, text=True, check=False)


def test_a_table_of_what_was_measured(root: Path, tmp_path: Path) -> None:
    done = run(root, tmp_path, "--methods", "mean-mask,motion,revseg", "--seeds", "0,1")
    assert done.returncode == 0, done.stderr
    results = sorted(tmp_path.glob("*/seed*/result.json"))
    cases = [path.parent.relative_to(tmp_path).as_posix() for path in results]
    assert cases == ["mean-mask/seed0", "motion/seed0", "revseg/seed0", "revseg/seed1"]
    found = [json.loads(path.read_text()) for path in results]
    # The objects of both videos are in the same place, give or take a pixel of the small frames.
    assert found[0]["sequences"]["two"]["J"] > 0.3
    validation = json.loads((results[2].parent / "run" / "validation.json").read_text())["sequences"]["two"]
    assert found[2]["sequences"]["two"]["JF"] == pytest.approx(validation["JF"])
    page = (tmp_path / "quality.md").read_text()
    assert "| **revseg** | **0, 1** |" in page
    assert "±" in page.splitlines()[-2]

    times = [path.stat().st_mtime_ns for path in results]
    again = run(root, tmp_path, "--methods", "mean-mask,motion,revseg", "--seeds", "0,1")
    assert again.returncode == 0
    assert [path.stat().st_mtime_ns for path in results] == times


def test_nonsense(root: Path, tmp_path: Path) -> None:
    assert "there is no method 'other'" in run(root, tmp_path, "--methods", "other").stderr
    done = run(tmp_path, tmp_path / "out", "--methods", "revseg")
    assert done.returncode == 1
    assert done.stderr.startswith("davis_split_benchmark: data folder")
    failing = run(root, tmp_path / "out", "--methods", "revseg", "network.classes=1")
    assert failing.returncode == 1
    assert "network.classes" in failing.stderr
