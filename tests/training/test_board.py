"""The log of a training on a disk that becomes full."""

import logging
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from revseg.training.board import Board
from revseg.training.task import Evaluation
from tests.harm import full_disk


@pytest.mark.parametrize("size", [0, 5000])
def test_a_full_disk_ends_the_log_and_not_the_training(
    size: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    hook = threading.excepthook
    with caplog.at_level(logging.WARNING, logger="revseg"), full_disk(size), closing(Board(tmp_path, 0, "a: 1")) as board:
        for step in range(5):
            board.evaluation(step, Evaluation({"J": 0.5}, {"picture": picture}))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path} is not written any more: File too large; free space there"
    ]
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook
