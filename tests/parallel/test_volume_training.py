"""Trainings of a video that several processes hold together, by the command line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.cli.main import train
from revseg.training.curves import losses
from tests.parallel.processes import command_line, start

pytestmark = pytest.mark.slow

CLIP = Path(__file__).parents[1] / "data" / "clip"
STEPS, FRAMES = 8, 8
SETTINGS = (
    *(f"data.video={CLIP / 'clip.mp4'}", f"data.masks={CLIP / 'masks'}", "data.labelled_frames=3", f"data.max_frames={FRAMES}"),
    *("data.height=36", "evidence=none", "device=cpu", f"training.steps={STEPS}", "output.formats=[]"),
    *("network.channels=4", "network.levels=1", "network.depth=[0,1]", "network.rank=8", "network.convolution_dtype=float32"),
    # A grid would round a last digit up or down now and then, and the two trainings part.
    *("network.arithmetic=float", "network.state_dtype=float32", "network.grid_bits=null"),
)


def given(run_dir: Path, *more: str) -> list[str]:
    return [*SETTINGS, f"run_dir={run_dir}", *more]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        more = ("training.accumulation=2", "training.evaluate_every=5", "placements=2")
        patch.setattr(sys, "argv", ["revseg-train", *given(run_dir, *more)])
        train()
    torch.set_num_threads(threads)
    return run_dir


def checkpoint(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run_dir / "checkpoints" / "last.pt", weights_only=True)
    return found


def masks(run_dir: Path) -> list[Any]:
    return [np.array(Image.open(path)) for path in sorted((run_dir / "predictions" / "masks").iterdir())]


@pytest.mark.parametrize(("world", "shards"), [(2, 2), (4, 2)])
def test_a_run_equals_that_of_one_process(world: int, shards: int, alone: Path, tmp_path: Path) -> None:
    """Four processes are two pairs: each holds a video, in another variant, together."""
    more = ("training.accumulation=2", "training.evaluate_every=5", "placements=2", f"parallel.volume={shards}")
    started = start(tmp_path, world, command_line, *given(tmp_path / "run", *more))
    assert started.statuses() == [0] * world, started.told()
    found, expected = (losses(path / "tensorboard") for path in (tmp_path / "run", alone))
    assert [step for step, _ in found] == [step for step, _ in expected]
    assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], abs=1e-5)
    one, reference = checkpoint(tmp_path / "run"), checkpoint(alone)
    torch.testing.assert_close(one["weights"], reference["weights"], rtol=0, atol=1e-5)
    apart = [np.mean(a != b) for a, b in zip(masks(tmp_path / "run"), masks(alone), strict=True)]
    assert max(apart) <= 0.002
    assert f"volume: {shards}" in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("world", "more", "sentence"),
    [
        (
            2,
            "parallel.volume=3",
            "parallel.volume is 3, but 2 processes were started: start a multiple of 3 .* set parallel.volume=1",
        ),
        (3, "parallel.volume=2", "parallel.volume is 2, but 3 processes were started: start a multiple of 2 .*"),
        (2, "parallel.volume=some", "parallel.volume is some; give a whole number of at least 1, or auto"),
    ],
)
def test_numbers_that_do_not_divide_are_refused(world: int, more: str, sentence: str, tmp_path: Path) -> None:
    started = start(tmp_path, world, command_line, *given(tmp_path / "run", more))
    assert started.statuses() == [1] * world, started.told()
    assert re.fullmatch(f"revseg: {sentence}", started.told()[0].strip())
    assert started.told()[1:] == [""] * (world - 1)
    assert not (tmp_path / "run").exists()


def test_more_processes_than_coarse_frames_are_refused(tmp_path: Path) -> None:
    more = ("parallel.volume=2", "network.levels=4", "network.depth=1")
    started = start(tmp_path, 2, command_line, *given(tmp_path / "run", *more))
    assert started.statuses() == [1, 1], started.told()
    assert started.told()[0].strip() == (
        "revseg: parallel.volume is 2, but a video of 16 frames, padded to multiples of 16, can be shared out to 1 process: "
        "set parallel.volume=1 or less, or fewer network.levels"
    )
    assert not (tmp_path / "run").exists()
