"""scripts/leave_and_return.py on a made-up data set."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.little import NETWORK
from tests.scripts.as_process import SCRIPTS, run_script

FRAMES, HEIGHT, WIDTH = 40, 48, 120


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences of a square that runs to the right, in the layout of DAVIS 2016."""
    root = tmp_path_factory.mktemp("returning")
    for number, name in enumerate(("one", "two")):
        ground = np.random.default_rng(number).integers(0, 160, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for frame in range(FRAMES):
            picture = cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            at = slice(12, 28), slice(70 + frame // 2, 86 + frame // 2)
            picture[at], mask[at] = (40, 40, 250), 255
            cv2.imwrite(str(root / "JPEGImages" / "480p" / name / f"{frame:05d}.jpg"), picture)
            cv2.imwrite(str(root / "Annotations" / "480p" / name / f"{frame:05d}.png"), mask)
    lists = root / "ImageSets" / "2016"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("one\ntwo\n")
    return root


@pytest.mark.slow
def test_makes_clips_trains_and_reports(root: Path, tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    given = [
        "--root",
        root,
        "--sequences",
        "one",
        "--height",
        "native",
        "--output",
        tmp_path / "out",
        "--page",
        page,
        "--steps",
        2,
    ]
    settings = [*NETWORK, "evidence.flow.least_height=48", "evidence.looks.steps=40", "device=cpu"]
    told = run_script("leave_and_return.py", *given, *settings)
    assert [line.partition(",")[0] for line in told.splitlines()[:-1]] == 2 * ["cut-one"] + 2 * ["cover-one"] + 2 * ["away-one"]
    rows = [line for line in page.read_text().splitlines() if line.startswith(("| revseg", "| flow-fine"))]
    assert len(rows) == 2 * 2 * 3  # of two methods: three clips, and the mean of each kind
    found = [float(row.split(" | ")[3]) for row in rows if row.startswith("| revseg")]
    assert np.mean(found) > 0.3  # of which flow alone knows nothing
    assert run_script("leave_and_return.py", *given, *settings).splitlines() == [str(page)]


def test_what_is_not_there_is_a_sentence(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, SCRIPTS / "leave_and_return.py", "--root", root, "--sequences", "three", "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"leave_and_return: there is no sequence 'three' in {root}; choose among one, two\n"
