"""Signals that ask a process to stop: Ctrl-C, those of batch systems before they end a job, and that of a lost terminal.

While a training takes steps, the first signal only sets a number: nothing is saved, printed or raised inside a signal handler,
where half of a step may be done. The training looks at the number between two steps, saves, and stops. At any other time, and at
a second signal, ``Signalled`` is raised where the process is: what it writes appears whole or not at all.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Those that stop a process: from the keyboard, from a launcher, from a terminal that is gone, from a batch system."""


class Interrupted(Exception):
    """The training was asked to stop, and its state is saved."""

    def __init__(self, signum: int, step: int, run_dir: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}; everything is saved in {run_dir}")
        self.signum, self.step, self.run_dir = signum, step, run_dir

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int, int, Path]]:
        """Makes it whole again in another process, such as that of a launcher."""
        return Interrupted, (self.signum, self.step, self.run_dir)


class Signalled(KeyboardInterrupt):
    """A signal stops the process where it is: what was done so far is saved, what was half done is not."""

    def __init__(self, signum: int) -> None:
        super().__init__("interrupted" if signum == signal.SIGINT else f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    def __reduce__(self) -> tuple[type[Signalled], tuple[int]]:
        """Makes it whole again in another process."""
        return Signalled, (self.signum,)


STOPPED = (Interrupted, KeyboardInterrupt, SystemExit)
"""What ends a run that is to go on later; SystemExit: a launcher's handler of a signal."""


class StopRequest:
    """Remembers the first signal in `signum`, which is None before; a second one acts at once, as without us."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before = {number: signal.getsignal(number) for number in _heeded()}

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self.restore()

    def restore(self) -> None:
        """Gives the signals back to the handlers of before; does no harm when called twice."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hand_on(self) -> bool:
        """Gives the signal that was caught to a launcher's handler of before: it may end the job and put it back into its queue.

        Returns whether there is one, and it lets the process go on.
        """
        if self.signum is None:
            return False
        handler = self._before[signal.Signals(self.signum)]
        if not callable(handler) or handler is signal.default_int_handler or isinstance(handler, _Raise):
            return False
        handler(self.signum, None)
        return True

    def catch(self) -> None:
        """Catches the signals, unless one has come."""
        for number in self._before if self.signum is None else ():
            signal.signal(number, self._remember)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[StopRequest]:
        """Catches the signals during the block, and gives them back at its end."""
        request = cls()
        request.catch()
        try:
            yield request
        finally:
            request.restore()


class _Raise:
    """A handler that raises what a signal means."""

    def __init__(self, reason: Callable[[], BaseException | None]) -> None:
        self.reason = reason

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        raise self.reason() or Signalled(signum)


@contextmanager
def raised(reason: Callable[[], BaseException | None] = lambda: None) -> Iterator[None]:
    """Raises ``Signalled`` at a signal for the duration of a with block, or else the reason that is known for it.

    A signal that somebody handles already, a launcher of batch jobs or a test, stays with that handler.
    """
    before = {number: signal.getsignal(number) for number in _heeded()}
    ours = [number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    for number in ours:
        signal.signal(number, _Raise(reason))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


@contextmanager
def ignored() -> Iterator[None]:
    """Lets no signal in for the duration of a with block."""
    before = {number: signal.getsignal(number) for number in _heeded()}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> tuple[signal.Signals, ...]:
    """Returns the signals that stop this process: not those that it was started to ignore, as by nohup.

    Python lets only the main thread handle signals; in another one (a notebook's worker) we do not.
    """
    if threading.current_thread() is not threading.main_thread():
        return ()
    return tuple(number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None))
