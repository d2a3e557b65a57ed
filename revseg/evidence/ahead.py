"""Work on several items at a time, a few of them ahead of whoever takes the results."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


_setting = threading.Lock()


def use_threads(count: int) -> None:
    """Lets PyTorch use so many threads in the thread that calls, as that of a pool does when it begins.

    ``torch.set_num_threads`` changes what threads take that begin later, too, those of a caller among them: another one,
    which ends at once, puts that back.
    """
    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        back = threading.Thread(target=torch.set_num_threads, args=(before,))
        back.start()
        back.join()


def map_ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """function of each item, in order, `ahead` of them in the making. ``Executor.map`` takes all items at once, however much
    memory they hold together."""
    making: deque[Future[Result]] = deque()
    for item in items:
        making.append(pool.submit(function, item))
        if len(making) > ahead:
            yield making.popleft().result()
    while making:
        yield making.popleft().result()
