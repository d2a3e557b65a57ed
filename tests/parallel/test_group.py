"""Real processes that meet over a real port: what they tell one another, and how they end together."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from revseg.parallel import store, watch
from revseg.parallel.group import ALONE, Ended, Group, joined
from revseg.runs.interruption import raised
from tests.parallel.processes import start

pytestmark = pytest.mark.slow


def told(error: BaseException) -> None:
    """Ends a process as the command line does."""
    assert isinstance(error, Ended), repr(error)
    if error.tells:
        print(error, file=sys.stderr)
    sys.exit(error.ending.status)


SHORT = {"SILENCE": 5.0, "PAUSE": 2.0, "BY_ITSELF": 1.0, "GRACE": 2.0}
"""Seconds, for those of the watch."""


def in_group(rank: int, folder: Path, work: Any, patience: float = 60.0) -> None:
    store.PATIENCE = patience
    for name, seconds in SHORT.items():
        setattr(watch, name, seconds)
    with raised():
        try:
            with joined() as group:
                work(group, folder)
        except (Ended, ValueError) as error:
            if isinstance(error, ValueError):  # before there was a group
                print(error, file=sys.stderr)
                sys.exit(1)
            told(error)


def exchange(group: Group, folder: Path) -> None:
    group.connect(torch.device("cpu"))
    assert group.gathered(10 * group.rank) == [0, 10, 20]
    assert group.from_first(lambda: f"from {group.rank}") == "from 0"
    assert group.least(5 - group.rank) == 3
    assert list(group.share(range(8))) == list(range(group.rank, 8, 3))
    assert group.neighbours == 3
    if group.first:
        time.sleep(0.3)
        (folder / "made").touch()
    group.barrier()
    assert (folder / "made").exists()
    tensor = torch.tensor([1.0, group.rank])
    group.sum_(tensor)
    assert tensor.tolist() == [3.0, 3.0]


def test_what_processes_tell_one_another(tmp_path: Path) -> None:
    started = start(tmp_path, 3, in_group, exchange)
    assert started.statuses() == [0, 0, 0], started.told()


def test_a_process_alone_waits_for_nobody() -> None:
    with joined() as group:
        assert group is ALONE
    assert (group.first, group.alone, group.world) == (True, True, 1)
    assert group.gathered(7) == [7]
    assert group.from_first(lambda: 8) == 8
    assert list(group.share([1, 2])) == [1, 2]


def one_fails(group: Group, folder: Path) -> None:
    group.connect(torch.device("cpu"))
    if group.rank == 1:
        raise OSError("cannot read /videos/b.mp4")
    group.sum_(torch.zeros(1))  # never comes


def test_an_error_of_one_ends_all_in_one_sentence(tmp_path: Path) -> None:
    started = start(tmp_path, 3, in_group, one_fails)
    assert started.statuses() == [1, 1, 1]
    assert [text.strip() for text in started.told()] == ["rank 1: cannot read /videos/b.mp4", "", ""]


def all_fail(group: Group, folder: Path) -> None:
    raise ValueError("training.steps is 0; give a positive number")


def test_an_error_of_all_is_told_once(tmp_path: Path) -> None:
    started = start(tmp_path, 2, in_group, all_fail)
    assert started.statuses() == [1, 1]
    assert [text.strip() for text in started.told()] == ["training.steps is 0; give a positive number", ""]


def busy(group: Group, folder: Path) -> None:
    (folder / f"busy.{group.rank}").touch()
    if group.rank == 0:  # at work, and waits for nobody
        while True:
            time.sleep(0.01)
    group.barrier()


def test_nothing_hangs_for_30_seconds() -> None:
    """The tests wait for less; this is what counts."""
    assert watch.SILENCE + watch.BY_ITSELF + watch.GRACE <= 28
    assert watch.PAUSE < watch.SILENCE


@pytest.mark.parametrize(("victim", "teller"), [(1, 0), (0, 1)])
def test_a_killed_process_ends_all(victim: int, teller: int, tmp_path: Path) -> None:
    started = start(tmp_path, 2, in_group, busy)
    for rank in range(2):
        started.await_file(f"busy.{rank}")
    began = time.monotonic()
    started.kill(victim, signal.SIGKILL)
    statuses = started.statuses()
    assert time.monotonic() - began < 20
    assert statuses[victim] == -signal.SIGKILL
    assert statuses[teller] == 1
    assert started.told()[teller].startswith(f"rank {victim} ended without a word: killed, out of memory")


def test_a_signal_to_one_ends_all_with_its_status(tmp_path: Path) -> None:
    started = start(tmp_path, 2, in_group, busy)
    for rank in range(2):
        started.await_file(f"busy.{rank}")
    started.kill(1, signal.SIGUSR1)
    assert started.statuses() == [1, 1]  # in_words knows no status of signals: that is the command line's
    assert [text.strip() for text in started.told()] == ["rank 1: stopped by SIGUSR1", ""]


def stuck(group: Group, folder: Path) -> None:
    if group.rank == 1:
        raise OSError("the disk is full")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    while True:  # as inside a library: no signal gets through
        try:
            time.sleep(60)
        except BaseException:
            continue


def test_a_process_that_cannot_be_interrupted_is_ended(tmp_path: Path) -> None:
    started = start(tmp_path, 2, in_group, stuck)
    assert started.statuses() == [1, 1]
    assert started.told()[0].strip() == "revseg: rank 1: the disk is full"


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        started = start(tmp_path, 2, patient_store, MASTER_PORT=port)
        assert started.statuses() == [1, 1]
    first, second = started.told()
    assert first.strip() == (
        f"port {port}, where the ranks are to meet rank 0, is in use on this machine: set MASTER_PORT to a free one"
    )
    assert f"what listens at 127.0.0.1:{port} is not rank 0 of this run" in second


def patient_store(rank: int, folder: Path) -> None:
    store.ANSWER = 2.0
    in_group(rank, folder, exchange, 5.0)


def one_is_missing(rank: int, folder: Path) -> None:
    if rank == 0:
        in_group(rank, folder, exchange, 2.0)


def test_a_process_that_does_not_come(tmp_path: Path) -> None:
    started = start(tmp_path, 2, one_is_missing)
    assert started.statuses() == [1, 0]
    assert started.told()[0].strip() == "1 of 2 processes came within 2 s; missing: rank 1: see why they did not start"


def twice(rank: int, folder: Path) -> None:
    os.environ["RANK"] = "1"
    in_group(rank, folder, exchange, 2.0)


def test_nobody_is_rank_0(tmp_path: Path) -> None:
    started = start(tmp_path, 2, twice)
    assert started.statuses() == [1, 1]
    assert all("rank 0 did not answer at 127.0.0.1:" in text for text in started.told())
