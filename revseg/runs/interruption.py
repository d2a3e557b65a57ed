"""Ctrl-C and SIGTERM: the step under way is finished and saved, then the training stops.

A signal only sets a number: nothing is saved, printed or raised inside a signal handler, where half of a step may be
done. The training looks at the number between two steps. A second signal acts as if we were not there: the handlers of
before are back after the first.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(Exception):
    """The training was asked to stop, and its state is saved."""

    def __init__(self, signum: int, step: int, run_dir: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}; everything is saved in {run_dir}")
        self.signum, self.step, self.run_dir = signum, step, run_dir

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int, int, Path]]:
        """Makes it whole again in another process, such as that of a launcher."""
        return Interrupted, (self.signum, self.step, self.run_dir)


class StopRequest:
    """Remembers the first signal in `signum`, which is None before; a second one acts at once, as without us."""

    def __init__(self) -> None:
        self.signum: int | None = None
        # Python lets only the main thread handle signals; in another one (a notebook's worker) we do not.
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
        self._before = {number: signal.getsignal(number) for number in numbers}

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self.restore()

    def restore(self) -> None:
        """Gives the signals back to the handlers of before; does no harm when called twice."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[StopRequest]:
        """Catches the signals during the block, and gives them back at its end."""
        request = cls()
        for number in request._before:
            signal.signal(number, request._remember)
        try:
            yield request
        finally:
            request.restore()
