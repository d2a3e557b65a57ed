"""Several items at a time, in order, and never more of them at once than was said."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from revseg.evidence.ahead import map_ahead


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.002 * (5 - number % 5))
        return number**2

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(pool, slow_first, range(20), 4)) == [number**2 for number in range(20)]
        assert list(map_ahead(pool, slow_first, range(2), 4)) == [0, 1]


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_items_are_taken_than_are_in_the_making(ahead: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10):
            taken += 1
            yield number

    with ThreadPoolExecutor(4) as pool:
        for number, _ in enumerate(map_ahead(pool, str, items(), ahead)):
            assert taken <= number + 1 + ahead
    assert taken == 10


def test_an_error_comes_where_its_result_would() -> None:
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, lambda number: 1 / number, [2, 1, 0, 4], 4)
        assert [next(results), next(results)] == [0.5, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


THREADS = """
import threading, torch
from concurrent.futures import ThreadPoolExecutor
from revseg.evidence.ahead import use_threads

torch.set_num_threads(5)
found = []
with ThreadPoolExecutor(3, "pool", use_threads, (1,)) as pool:
    wait = threading.Barrier(3).wait
    found += pool.map(lambda _: (wait(), torch.get_num_threads())[1], range(3))
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
print(*found, torch.get_num_threads())
"""


@pytest.mark.slow
def test_a_pool_has_threads_of_its_own_number_and_nobody_else() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "1", "5", "5"]
