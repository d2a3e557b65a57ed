"""What happens to processes: full disks, and kills."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """A real one: no file of this process may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores the signal, and the write fails
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def kill_when(condition: Callable[[], bool], work: Callable[[Path], None], folder: Path) -> None:
    """Lets another process work without end, and kills it at a moment that it knows nothing of."""
    process = multiprocessing.get_context("fork").Process(target=work, args=(folder,))
    process.start()
    try:
        wait_for(condition)
    finally:
        process.kill()
        process.join()


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
