"""Work on several items at a time, a few of them ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
