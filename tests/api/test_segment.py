"""revseg.segment: from arrays or files to masks, by the recipe of revseg-train, and nothing else changed."""

from __future__ import annotations

import json
import logging
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import revseg
from revseg.evaluation.measures import region_similarity
from revseg.labels.masks import read_mask
from revseg.video.read import read_video
from tests.little import FRAMES, HEIGHT, NETWORK, WIDTH, write_video

FAST = [*NETWORK, "placements=1", "evidence.flow.least_height=40"]


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """A folder of frames, one of masks, and both as arrays."""
    frames, masks = write_video(tmp_path)
    video = read_video(frames).volume.permute(1, 2, 3, 0).numpy()
    return frames, masks, video, np.stack([read_mask(path, "davis2017") for path in sorted(masks.iterdir())])


@pytest.mark.slow
def test_from_arrays_to_an_array(
    scene: tuple, capfd: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is printed, and nothing stays behind: no file, no handler, no seed, no signal handler, no thread count."""
    _, _, video, truth = scene
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    def state() -> tuple:
        logger = logging.getLogger("revseg")
        return (
            (logger.handlers[:], logger.level, logging.getLogger().handlers[:]),
            (torch.random.get_rng_state().tolist(), random.getstate(), torch.get_num_threads(), torch.is_grad_enabled()),
            (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.argv[:]),
        )

    before = state()
    masks = {0: truth[0], 4: truth[4].astype(bool), 7: truth[7]}
    found = revseg.segment(video, masks, height=None, steps=3, device="cpu", overrides=FAST)
    assert (found.shape, found.dtype) == ((FRAMES, HEIGHT, WIDTH), np.uint8)
    assert all(np.array_equal(found[frame], truth[frame]) for frame in (0, 4, 7))
    assert np.mean([region_similarity(found[frame] == 1, truth[frame] == 1) for frame in range(FRAMES)]) > 0.7
    assert capfd.readouterr() == ("", "")
    assert state() == before
    assert not list((tmp_path / "here").iterdir())
    assert not list((tmp_path / "temporary").glob("revseg-*"))  # PyTorch keeps a cache there


@pytest.mark.slow
def test_a_run_is_kept_and_goes_on(scene: tuple, tmp_path: Path) -> None:
    """A part of a folder of frames, with masks by name; one more mask trains a further round in the same folder."""
    frames, _, _, truth = scene
    run = tmp_path / "run"
    part = [*FAST, "data.start=1", "data.end=7"]
    given = {1: truth[1], 6: truth[6]}
    found = revseg.segment(frames, given, height=None, steps=3, device="cpu", run_dir=run, overrides=part)
    assert len(found) == 6
    revseg.segment(frames, given | {3: truth[3]}, height=None, steps=3, device="cpu", run_dir=run, overrides=part)
    metrics = json.loads((run / "metrics.json").read_text())
    assert len(metrics["rounds"]) == 2
    assert metrics["labelled_frames"] == [0, 2, 5]


BYTES, MASK = np.zeros((2, 4, 6), np.uint8), np.zeros((4, 6), np.uint8)


@pytest.mark.parametrize(
    ("video", "masks", "sentence"),
    [
        (BYTES.astype(np.float32), {0: MASK}, r"shape \(2, 4, 6\) and type float32: give uint8"),
        (BYTES[..., None].repeat(2, 3), {0: MASK}, r"shape \(2, 4, 6, 2\) .*: give uint8, \(T, H, W\) or"),
        (BYTES, {}, "there is no mask: give one of the first and of the last frame"),
        (BYTES, {0: MASK / 2}, r"mask of frame 0 has shape \(4, 6\) and type float64: give whole"),
        (BYTES, {0: MASK + np.int64(300)}, r"mask of frame 0 .*: give whole numbers"),
        (BYTES, {-1: MASK}, "there is no frame -1 in .*: frames are counted from 0"),
        (BYTES, {5: MASK}, r"00005\.png is for a frame that does not exist"),
    ],
)
def test_what_is_refused(video: np.ndarray, masks: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        revseg.segment(video, masks, device="cpu", overrides=FAST)


def test_a_setting_that_does_not_exist(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="there is no setting 'step'; --help lists all"):
        revseg.segment(tmp_path, tmp_path, overrides=["step=3"])
