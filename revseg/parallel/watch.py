"""Tells each process of a group that another one has ended, whatever this one is at: no process waits for one that is gone.

Every process counts a number up in the store, its beat, and looks at the beats of the others. Who ends early first writes why,
once for all: the ending. A process that learns of an ending and does not end by itself is made to. Where a cable is pulled,
nothing breaks and no answer comes: a second thread knows how long the store has been silent.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import timedelta

from torch.distributed import DistError, Store

PERIOD = 0.5
"""Seconds between two beats."""

SILENCE = 15.0
"""Seconds without a beat after which a process is gone."""

PAUSE = 4.0
"""The same where there is another sign of it: a broken connection, or a signal from the launcher, which has seen it end."""

BY_ITSELF, GRACE = 2.0, 8.0
"""Seconds in which a process ends by itself after an ending; and those in which it does once it was interrupted."""


@dataclass(frozen=True)
class Ending:
    """Why a group ends before its work is done."""

    rank: int
    """Whose error it is."""
    text: str
    status: int
    """The exit status of all."""
    lost: tuple[int, ...] = ()
    """Ranks that ended without a word."""

    def seen_by(self, rank: int) -> str:
        """Returns the text as another process tells it."""
        return self.text if self.lost or rank == self.rank else f"rank {self.rank}: {self.text}"

    def told_by(self, world: int) -> int:
        """Returns the rank that tells of it: the first that can."""
        return min(set(range(world)) - set(self.lost), default=0)


class Ended(ConnectionError):
    """The group has ended: because of another process, or because of this one, after it has told the others."""

    def __init__(self, ending: Ending, tells: bool) -> None:
        super().__init__(ending.text)
        self.ending, self.tells = ending, tells
        """tells: whether it is this process that tells of it."""


class Watch:
    """A thread that beats, and looks at the others; and one that sees to the end."""

    def __init__(self, store: Store, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        self.ending: Ending | None = None
        self.done = False
        """Whether this process needs nobody to end it any more."""
        self.cut_off = False
        """Whether the store does not answer any more: what asks it waits for ever."""
        self._store = store
        store.set_timeout(timedelta(seconds=SILENCE))
        self._heard = {other: (0, time.monotonic()) for other in range(world) if other != rank}
        self._left: set[int] = set()
        self._ended: float | None = None
        self._interrupted = False
        self._stop = threading.Event()
        self._answered = time.monotonic()
        self._beat()
        self._threads = [threading.Thread(target=work, name="watch", daemon=True) for work in (self._run, self._guard)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the beats: the others must have been told before."""
        self._stop.set()
        beats, guard = self._threads
        guard.join()
        if not self.cut_off:
            beats.join()

    def silent(self, seconds: float) -> set[int]:
        """Returns the ranks that have started, have not been heard of for so long, and have not left in order."""
        now = time.monotonic()
        return {rank for rank, (beat, at) in self._heard.items() if beat and now - at > seconds and rank not in self._left}

    def present(self, seconds: float) -> set[int]:
        """Returns the ranks that have been heard of within this time, or may be heard of yet, this one too."""
        now = time.monotonic()
        return {self.rank} | {rank for rank, (_, at) in self._heard.items() if now - at <= seconds}

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._stop.wait(PERIOD):
            if time.monotonic() - looked > SILENCE / 2:  # this process itself stood still: the others may have gone on
                self._heard = {rank: (beat, time.monotonic()) for rank, (beat, _) in self._heard.items()}
            looked = time.monotonic()
            try:
                self._beat()
                self._look()
            except DistError:  # the store ends with its rank
                self.ending = self.ending or lost([0])
            self._answered = time.monotonic()

    def _guard(self) -> None:
        """Ends the process when it is time, though the store, which the other thread asks, may not answer."""
        looked = time.monotonic()
        while not self._stop.wait(PERIOD):
            if time.monotonic() - looked > SILENCE / 2:
                self._answered = time.monotonic()
            looked = time.monotonic()
            if looked - self._answered > SILENCE:
                self.cut_off = True
                self.ending = self.ending or lost([0])
            if self.ending is not None:
                self._see_to_the_end(self.ending)

    def _see_to_the_end(self, ending: Ending) -> None:
        """Interrupts the main thread, and ends the process where that is of no use: it may wait for ever inside a library."""
        if self.done:
            return
        self._ended = self._ended or time.monotonic()
        since = time.monotonic() - self._ended
        if since > BY_ITSELF + GRACE:
            if self.rank == ending.told_by(self.world):
                print(f"revseg: {ending.seen_by(self.rank)}", file=sys.stderr, flush=True)
            os._exit(ending.status)
        if since > BY_ITSELF and not self._interrupted:
            self._interrupted = True
            _thread.interrupt_main(signal.SIGTERM)

    def _beat(self) -> None:
        self._store.add(f"beat/{self.rank}", 1)

    def _look(self) -> None:
        now = time.monotonic()
        for rank, (before, _) in self._heard.items():
            if (beat := self._store.add(f"beat/{rank}", 0)) != before:
                self._heard[rank] = beat, now
            if rank not in self._left and self._store.check([f"left/{rank}"]):
                self._left.add(rank)
        if self._store.check(["ending"]):
            self.ending = read(self._store.get("ending"))
        elif silent := self.silent(SILENCE):
            self.ending = self.post(lost(silent))

    def post(self, ending: Ending) -> Ending:
        """Tells the others why the group ends; returns what was told before, if anything was."""
        return read(self._store.compare_set("ending", "", write(ending)))


def lost(ranks: Collection[int]) -> Ending:
    """Returns the ending where processes are gone."""
    told = f"{'ranks' if len(ranks) > 1 else 'rank'} {', '.join(map(str, sorted(ranks)))}"
    text = (
        f"{told} ended without a word: killed, out of memory, or on a machine that is lost or out of reach; what was saved is "
        "good, and the same command with its run_dir goes on from there"
    )
    return Ending(min(ranks), text, 1, lost=tuple(sorted(ranks)))


def write(ending: Ending) -> str:
    """Returns an ending as text of the store."""
    return json.dumps(asdict(ending))


def read(text: bytes) -> Ending:
    """Returns the ending that a text of the store says."""
    found = json.loads(text)
    return Ending(**{**found, "lost": tuple(found["lost"])})
