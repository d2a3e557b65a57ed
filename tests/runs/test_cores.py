"""Threads give way to other programs that want the cores, and come back."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch

from revseg.runs.cores import FIRST_HOLD, SECONDS, Cores, seconds_waited

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Machine:
    """A clock, and how many threads wait for a core."""

    def __init__(self, most: int) -> None:
        self.now = self.waited = 0.0
        torch.set_num_threads(most)
        self.cores = Cores(most, waited=lambda: self.waited, clock=lambda: self.now)

    def after(self, seconds: float, waiting: float) -> int:
        """Returns how many threads are used after so many seconds with so many that wait."""
        for _ in range(round(seconds / SECONDS)):
            self.now += SECONDS
            self.waited += waiting * SECONDS
            self.cores.look()
        assert torch.get_num_threads() == self.cores.count
        return self.cores.count


def test_as_many_threads_go_as_wait() -> None:
    assert Machine(2).after(SECONDS, 0.13) == 2  # those of its own that wait a little
    assert Machine(2).after(SECONDS, 0.7) == 1
    assert Machine(8).after(SECONDS, 3.8) == 4
    assert Machine(8).after(SECONDS, 20) == 1


def test_a_short_while_tells_nothing() -> None:
    machine = Machine(4)
    machine.now, machine.waited = SECONDS / 2, 4.0
    machine.cores.look()
    assert machine.cores.count == 4


def test_they_come_back_once_nobody_waits_and_are_tried_less_often_where_that_was_too_early() -> None:
    machine = Machine(4)
    assert machine.after(SECONDS, 2) == 2
    assert machine.after(FIRST_HOLD, 0.1) == 2  # somebody waits still
    assert machine.after(SECONDS, 0) == 4
    assert machine.after(SECONDS, 2) == 2
    assert machine.after(FIRST_HOLD + SECONDS, 0) == 2
    assert machine.after(FIRST_HOLD, 0) == 4
    assert machine.after(600, 0) == 4
    assert machine.after(SECONDS, 2) == 2
    assert machine.after(FIRST_HOLD, 0) == 4


def test_who_has_chosen_keeps_his_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert Cores.for_steps_on(CPU).most == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert Cores.for_steps_on(CPU).most == torch.get_num_threads()
    assert Cores.for_steps_on(torch.device("cuda")).most == 1


@pytest.mark.slow
@pytest.mark.skipif(seconds_waited() is None, reason="this kernel does not count how long threads wait")
def test_beside_busy_processes() -> None:
    """Real ones, as many as there are cores: some thread always waits."""
    count = len(os.sched_getaffinity(0))
    if count < 2:
        pytest.skip("one core has one thread")
    torch.set_num_threads(count)
    used, product, end = Cores(count), torch.rand(300, 300), time.monotonic() + 60
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        while used.count == count:
            assert time.monotonic() < end
            product @ product
            used.look()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert 1 <= used.count == torch.get_num_threads() < count
