"""What a process replies, and what is said of one that fails."""

import json
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from harness.memory import STATUS
from harness.process import OUT_OF_MEMORY, Worker, run

pytestmark = pytest.mark.slow


def test_a_piece_of_work_replies(tmp_path: Path) -> None:
    assert run(json.loads, '{"a": 1}', log=tmp_path / "log.txt") == {"a": 1}


def test_failures_say_what_went_wrong_and_where_to_read_on(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert run(json.loads, "no", log=log)["error"].startswith("JSONDecodeError: Expecting value")
    assert run(__import__, "no_such_package", log=log) == {"error": "not installed (no_such_package)"}
    assert run(sys.exit, "the last words", log=log) == {"error": f"the last words (see {log})"}
    assert run(exec, "import os; os.kill(os.getpid(), 9)", log=log) == {"error": OUT_OF_MEMORY}
    if STATUS.exists():
        assert run(torch.empty, 1 << 50, log=log) == {"error": OUT_OF_MEMORY}


def test_a_worker_keeps_its_object_until_it_takes_too_long(tmp_path: Path) -> None:
    worker = Worker(partial, time.sleep, log=tmp_path / "log.txt", patience=5)
    assert worker.wait() == {}
    worker.patience = 0.2
    assert worker.ask("__call__", 60) == {"error": "took longer than 0 s"}
    assert worker.failed
    assert not worker.process.is_alive()
