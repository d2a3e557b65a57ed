"""The log of a training on a disk that becomes full."""

import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from revseg.training.board import Board
from revseg.training.task import Evaluation


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A limit on the size of files, which the system enforces as it does the size of a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 5000])
def test_a_full_disk_ends_the_log_and_not_the_training(
    size: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    hook = threading.excepthook
    with caplog.at_level(logging.WARNING, logger="revseg"), files_of_at_most(size), closing(Board(tmp_path, 0, "a: 1")) as board:
        for step in range(5):
            board.evaluation(step, Evaluation({"J": 0.5}, {"picture": picture}))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path} is not written any more: File too large; free space there"
    ]
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook
