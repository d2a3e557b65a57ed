"""scripts/check_run_forecast.py: its objects, and what it reads of a log."""

import os
from pathlib import Path

import check_run_forecast as script
import numpy as np
from PIL import Image

from revseg.labels.masks import read_mask


def test_an_object_is_cut_into_as_many_as_are_asked_for(tmp_path: Path) -> None:
    mask = np.zeros((8, 30), np.uint8)
    mask[2:6, 5:17] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "00000.png")
    Image.fromarray(0 * mask).save(tmp_path / "masks" / "00001.png")
    folder = script.in_parts(tmp_path / "masks", tmp_path / "parts", 3)
    parts = read_mask(folder / "00000.png", "davis2017")
    assert [int((parts == number).sum()) for number in range(4)] == [240 - 48, 16, 16, 16]
    assert not read_mask(folder / "00001.png", "davis2017").any()


def test_the_forecast_is_read_from_the_log() -> None:
    line = (
        "forecast for 8 frames of 171 x 96: 1.14 GB of memory for the whole process, while smoothing evidence; 0.07 GB for a "
        "step of the network, keep_hidden=True"
    )
    found = script.TOLD.search(line)
    assert found is not None
    assert found.groups() == ("1.14", "smoothing evidence")


def test_only_processes_that_decode_are_counted() -> None:
    assert script.peak_of(os.getpid()) == 0
    assert script.peak_of(2**30) == 0
    assert script.children(2**30) == []
