"""Evidence of one video that several processes find together: the same bytes as one process finds, each does its share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from revseg.evidence.store import HEADER
from tests.parallel.processes import command_line, start
from tests.parallel.test_volume_training import CLIP

pytestmark = pytest.mark.slow

FRAMES = 12
SETTINGS = (
    *(f"data.video={CLIP / 'clip.mp4'}", f"data.masks={CLIP / 'masks'}", f"data.max_frames={FRAMES}", "data.height=36"),
    *("evidence.flow.height=72", "evidence.flow.least_height=72", "device=cpu", "output.formats=[masks]", "placements=1"),
    *("network.channels=4", "network.levels=1", "network.depth=[0,1]", "network.rank=8", "training.steps=1"),
)


def run(folder: Path, world: int, *more: str) -> Path:
    started = start(folder, world, command_line, *SETTINGS, f"run_dir={folder / 'run'}", *more)
    assert started.statuses() == [0] * world, started.told()
    return folder / "run"


def evidence(run_dir: Path) -> dict[str, np.ndarray]:
    """What is kept, by the names of its files, which are keys of all that it depends on."""
    return {path.name: next(iter(np.load(path).values())) for path in (run_dir / "evidence").glob("*.npz")}


def flows(path: Path) -> int:
    """How many records a file of flow has."""
    height, width = 72, 128
    return os.path.getsize(path) // (4 * height * width + HEADER.size)


@pytest.mark.parametrize(("world", "labelled"), [(2, 3), (3, 1)])
def test_processes_find_together_what_one_finds(world: int, labelled: int, tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", 1, f"data.labelled_frames={labelled}")
    together = run(tmp_path / "together", world, f"data.labelled_frames={labelled}")
    expected, found = evidence(alone), evidence(together)
    assert sorted(found) == sorted(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    files = sorted((together / "evidence").glob("flow-*.bin"))
    counts = [flows(path) for path in files]
    (whole,) = [flows(path) for path in (alone / "evidence").glob("flow-*.bin")]
    assert len(files) == world, files
    # At the ends of a share a few flows are found twice.
    assert whole <= sum(counts) <= 1.4 * whole
    assert max(counts) <= 1.7 * whole / world, counts


def test_a_later_run_reads_what_all_have_found(tmp_path: Path) -> None:
    def labels(count: int) -> str:
        folder = tmp_path / f"labels-{count}"
        folder.mkdir()
        for path in sorted((CLIP / "masks").glob("*.png"))[:FRAMES][:: FRAMES // count]:
            (folder / path.name).symlink_to(path)
        return f"data.masks={folder}"

    together = run(tmp_path / "first", 2, labels(2))
    names = {path.name for path in (together / "evidence").glob("flow-*.bin")}
    assert len(names) == 2
    # More labels: gaps are others, flow is the same.
    further = run(tmp_path / "further", 1, labels(3), f"from={together}")
    log = (further / "train.log").read_text()
    assert "carrying labels" in log
    assert "optical flow" not in log
    assert {path.name for path in (further / "evidence").glob("flow-*.bin")} >= names
