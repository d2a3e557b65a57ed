"""The processes that train together, each of which takes its own whole videos, or some of them one together.

torch.distributed carries tensors (gloo on CPUs, NCCL on GPUs) and keeps a store of keys and values. Here is what it has not:
waiting that a signal ends, one ending for all, and a process alone as a group of one.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from revseg.parallel import store as stores
from revseg.parallel.place import Place, place_of
from revseg.parallel.volume import Volume
from revseg.parallel.watch import PAUSE, PERIOD, Ended, Ending, Watch, lost
from revseg.runs.interruption import ignored

Value = TypeVar("Value")

ENDLESS = timedelta(days=7)
"""No wait for a tensor ends by itself: one video may take hours longer than another. That a process is gone, the watch tells."""

FAREWELL = 15.0
"""Seconds that rank 0 waits for the others to end, so that they learn why."""


class Group:
    """A process among those that train together: its rank of so many. Alone, it is rank 0 of 1, and waits for nobody."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place
        self.rank, self.world = (0, 1) if place is None else (place.rank, place.world)
        self.neighbours = 1
        """How many of them are on this machine."""
        self.shards = 1
        """How many hold a volume together."""
        self.volume: Volume | None = None
        """The place among these; None where each holds whole volumes."""
        self._calls = 0
        if place is not None:
            self._store = stores.connect(place)
            self._watch = Watch(self._store.clone(), self.rank, self.world)
            self._meet()

    @property
    def first(self) -> bool:
        """Whether it is the one that writes the run."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.world == 1

    def told(self) -> str:
        """Returns how many there are, for a sentence; nothing of a process alone."""
        return "" if self.alone else f" in {self.world} processes"

    def share(self, items: Sequence[Value]) -> Sequence[Value]:
        """Returns the items that this process takes of some that all share out."""
        return items[self.rank :: self.world]

    def gathered(self, own: Value) -> list[Value]:
        """Returns what each process gives, by rank."""
        if self.alone:
            return [own]
        call, self._calls = self._calls, self._calls + 1
        self._store.set(f"call/{call}/{self.rank}", pickle.dumps(own))  # type: ignore[arg-type]  # it takes bytes too
        keys = [f"call/{call}/{rank}" for rank in range(self.world)]
        self._await(keys)
        found = [pickle.loads(self._store.get(key)) for key in keys]
        if call:  # all have given the next one, and so read this one
            self._store.delete_key(f"call/{call - 1}/{self.rank}")
        return found

    def from_first(self, make: Callable[[], Value] | None = None) -> Value:
        """Returns what rank 0 makes; the others wait for it."""
        found: Value = self.gathered(make() if self.first and make is not None else None)[0]  # type: ignore[assignment]
        return found

    def least(self, number: int) -> int:
        """Returns the least of the numbers that each process gives."""
        return min(self.gathered(number))

    def barrier(self) -> None:
        """Waits until all are here."""
        self.gathered(None)

    def share_of_volumes(self, items: Sequence[Value]) -> Sequence[Value]:
        """Returns the items that this process takes where those of a volume take the same ones."""
        return items[self.rank // self.shards :: self.world // self.shards]

    def connect(self, device: torch.device) -> None:
        """Prepares ``sum_`` of tensors on a device."""
        if self.alone:
            return
        on_gpu = device.type == "cuda"
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=dist.PrefixStore("tensors", self._store),
            rank=self.rank,
            world_size=self.world,
            timeout=ENDLESS,
            device_id=device if on_gpu else None,
        )

    def share_volumes(self, shards: int) -> None:
        """Prepares ``volume``, where so many processes hold one together; they are a divisor of all."""
        self.shards = shards
        for first in range(0, self.world, shards) if shards > 1 else ():
            ranks = list(range(first, first + shards))
            members = dist.new_group(ranks, timeout=ENDLESS)  # all processes make all of them
            if isinstance(members, dist.ProcessGroup) and self.rank in ranks:
                self.volume = Volume(self.rank - first, ranks, members, broken=self._broken)

    def sum_(self, tensor: Tensor) -> None:
        """Puts the sum over all processes in the place of a tensor; each gets the same bits."""
        if self.alone:
            return
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            raise self._broken(error) from error

    def end(self, text: str, status: int, *, by_signal: bool = False, by_another: bool = False) -> Ended:
        """Tells the others that this process ends with an error; returns what all end with.

        by_signal: a launcher that has seen a process end signals the others; then this is no reason of its own. by_another: the
        error is nothing but the end of another process.
        """
        own = Ending(self.rank, text, status)
        if self.alone:
            return Ended(own, tells=True)
        self._watch.done = True
        ending = self._watch.ending or self._agreed(own, by_signal)
        self._say_farewell("ended")  # who waits for a tensor of this process learns as it ends that none comes
        told = text if text == ending.text and not by_another else ending.seen_by(self.rank)
        return Ended(Ending(ending.rank, told, ending.status), tells=self.rank == ending.told_by(self.world))

    def tell(self, text: str) -> None:
        """Tells the others, and whoever started the group, of an error with which this process ends at once."""
        own = Ending(self.rank, text, 1)
        ending = own if self.alone else self._agreed(own, by_signal=False)
        if self.rank == ending.told_by(self.world):
            print(f"revseg: {ending.seen_by(self.rank)}", file=sys.stderr, flush=True)

    def leave(self) -> None:
        """Takes leave of the others, in order or after an ending."""
        if self.alone:
            return
        self._watch.done = True
        if not self.first:
            self._watch.stop()  # before the store ends
        self._say_farewell("left")
        self._watch.stop()
        if dist.is_initialized():
            dist.destroy_process_group()

    def ended(self) -> Ended | None:
        """Returns why the group has ended; None as long as it has not."""
        ending = None if self.alone else self._watch.ending
        return None if ending is None else Ended(ending, tells=self.rank == ending.told_by(self.world))

    def _meet(self) -> None:
        """Waits for all others to start."""
        host, came = socket.gethostname(), time.monotonic()
        if self._store.add(f"here/{self.rank}", 1) > 1:
            raise ValueError(
                f"two processes are rank {self.rank}: start as many as WORLD_SIZE={self.world}, each with a RANK of its own"
            )
        missing = list(range(self.world))
        while missing := [rank for rank in missing if not self._store.check([f"here/{rank}"])]:
            if time.monotonic() - came > stores.PATIENCE:
                raise ValueError(
                    f"{self.world - len(missing)} of {self.world} processes came within {stores.PATIENCE:.0f} s; missing: rank "
                    f"{', '.join(map(str, missing))}: see why they did not start"
                )
            self._raise_if_ended()
            time.sleep(0.02)
        self.neighbours = self.gathered(host).count(host)

    def _await(self, keys: list[str]) -> None:
        pause = 0.001
        while not self._store.check(keys):
            self._raise_if_ended()
            time.sleep(pause)  # in Python: a signal has to find this thread awake
            pause = min(2 * pause, 0.05)

    def _raise_if_ended(self) -> None:
        if (ended := self.ended()) is not None:
            raise ended

    def _agreed(self, own: Ending, by_signal: bool) -> Ending:
        if self._watch.ending is not None and self._watch.cut_off:
            return self._watch.ending
        try:
            if by_signal and (silent := self._silent()):
                own = lost(silent)
            return self._watch.post(own)
        except dist.DistError:
            return lost([0])

    def _silent(self) -> set[int]:
        """Waits until it is known which processes are gone: the last beat of one may be seen a little after it."""
        began = time.monotonic()
        while time.monotonic() - began < PAUSE + 2 * PERIOD and self._watch.ending is None:
            time.sleep(0.05)
        return set() if self._watch.ending else self._watch.silent(PAUSE)

    def _broken(self, error: RuntimeError) -> Ended:
        """Returns why a tensor did not come: what its process has told, or that it is gone."""
        silent = self._silent()
        if (ended := self.ended()) is not None:
            return ended
        reason = f"the connection to the other processes broke: {' '.join(str(error).split())[:200]}"
        own = lost(silent) if silent else Ending(self.rank, reason, 1)
        return Ended(own, tells=self.rank == own.told_by(self.world))

    def _say_farewell(self, key: str) -> None:
        """Says it to the others. Rank 0, which may keep the store, waits for them to say it too, or to be gone."""
        if self._watch.cut_off:
            return
        with suppress(dist.DistError):
            self._store.set(f"{key}/{self.rank}", "")
            began = time.monotonic()
            while self.first and time.monotonic() - began < FAREWELL:
                if all(self._store.check([f"{key}/{rank}"]) for rank in self._watch.present(PAUSE)):
                    return
                time.sleep(0.02)


ALONE = Group()

_joined = ALONE


def current() -> Group:
    """Returns the group that this process has joined."""
    return _joined


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error, and those that it comes from."""
    while error is not None:
        yield error
        error = error.__cause__


Describe = Callable[[BaseException], tuple[str, int] | None]
"""The sentence and exit status of an error; None for a mistake of the program, whose traceback is to be seen."""


def in_words(error: BaseException) -> tuple[str, int] | None:
    """Describes any error by what it says."""
    return " ".join(str(error).split()) or type(error).__name__, 1


@contextmanager
def joined(describe: Describe = in_words) -> Iterator[Group]:
    """Yields the group of this process for the duration of a with block: that which a launcher has started it for.

    An error of one process ends all: each raises ``Ended``. One that is a mistake of the program is raised where it is.
    """
    global _joined
    place = place_of(os.environ) if _joined.alone else None
    if place is None:
        yield _joined
        return
    try:
        _joined = Group(place)
    except dist.DistError as error:  # it kept the store
        raise ValueError(lost([0]).text) from error
    try:
        yield _joined
        _joined.barrier()  # a run has failed also where the last file of rank 0 has
    except BaseException as error:
        described = describe(error)
        text, status = described or (f"{type(error).__name__}: {error}; its traceback stands above", 1)
        causes = {type(cause) for cause in _causes(error)}
        by_signal = any(issubclass(kind, KeyboardInterrupt) for kind in causes)
        with ignored():  # the launcher ends the others with a signal as soon as one has ended
            ended = _joined.end(text, status, by_signal=by_signal, by_another=Ended in causes)
        if described is None:
            raise
        raise ended from error
    finally:
        with ignored():
            _joined.leave()
        _joined = ALONE
