"""Threads give way to other programs that want the cores, and come back."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch

from revseg.device import free_threads
from revseg.runs.cores import HOLD, SECONDS, Cores, Passed, passed_here

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Machine:
    """A clock, threads that wait for a core, and others that compute."""

    def __init__(self, most: int) -> None:
        torch.set_num_threads(most)
        self.clock, self.now = 0.0, Passed(0.0, 0.0)
        self.cores = Cores(most, passed=lambda: self.now, clock=lambda: self.clock)

    def after(self, seconds: float, *, waiting: float, others: float) -> int:
        """Returns how many threads are used after so many seconds with so many that wait, and so many others."""
        for _ in range(round(seconds / SECONDS)):
            self.clock += SECONDS
            self.now = Passed(self.now.waited + waiting * SECONDS, self.now.others + others * SECONDS)
            self.cores.look()
        assert torch.get_num_threads() == self.cores.count
        return self.cores.count


def test_as_many_threads_go_as_wait() -> None:
    assert Machine(2).after(SECONDS, waiting=0.7, others=0.7) == 1
    assert Machine(8).after(SECONDS, waiting=3.8, others=4) == 4
    assert Machine(8).after(SECONDS, waiting=20, others=7) == 1


def test_threads_of_its_own_that_are_in_each_others_way_stay() -> None:
    assert Machine(2).after(60, waiting=0.2, others=1) == 2
    assert Machine(2).after(60, waiting=1.5, others=0.1) == 2


def test_a_short_while_tells_nothing() -> None:
    machine = Machine(4)
    machine.clock, machine.now = SECONDS / 2, Passed(4.0, 4.0)
    machine.cores.look()
    assert machine.cores.count == 4


def test_where_nothing_is_known_nothing_changes() -> None:
    used = Cores(4, passed=lambda: None)
    used.look()
    assert used.count == 4


def test_they_come_back_once_others_have_gone() -> None:
    machine = Machine(4)
    assert machine.after(SECONDS, waiting=2, others=2) == 2
    assert machine.after(60, waiting=0, others=2) == 2
    assert machine.after(SECONDS, waiting=0, others=0) == 4
    assert machine.after(SECONDS, waiting=2, others=2) == 2
    assert machine.after(HOLD - SECONDS, waiting=0, others=0) == 2  # not every moment
    assert machine.after(2 * SECONDS, waiting=0, others=0) == 4


def test_who_has_chosen_keeps_his_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert free_threads(CPU) == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert free_threads(CPU) == torch.get_num_threads()
    assert free_threads(torch.device("cuda")) == 1


@pytest.mark.slow
@pytest.mark.skipif(passed_here() is None, reason="this kernel does not count how long threads wait")
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
