"""Real signals to this process."""

import os
import signal
import threading

import pytest

from revseg.runs.interruption import StopRequest


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_remembered_second_acts(signum):
    acted = []
    before = signal.signal(signum, lambda *_: acted.append(signum))
    try:
        with StopRequest.watched() as stop:
            assert stop.signum is None
            os.kill(os.getpid(), signum)
            assert (stop.signum, acted) == (signum, [])
            os.kill(os.getpid(), signum)
            assert acted == [signum]
        os.kill(os.getpid(), signum)
        assert acted == [signum, signum]
    finally:
        signal.signal(signum, before)


def test_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)

    def fail():
        with StopRequest.watched():
            assert signal.getsignal(signal.SIGTERM) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_handle_no_signals():
    seen = []

    def watch():
        with StopRequest.watched() as stop:
            seen.append(stop.signum)

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert seen == [None]
