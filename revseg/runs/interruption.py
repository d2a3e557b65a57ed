"""Ctrl-C and SIGTERM: the step under way is finished and saved, then the training stops."""

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
        self.signum, self.run_dir = signum, run_dir


class StopRequest:
    """Remembers the first signal; a second one acts at once, as without us."""

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
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[StopRequest]:
        request = cls()
        for number in request._before:
            signal.signal(number, request._remember)
        try:
            yield request
        finally:
            request.restore()
