"""A control group of Linux that limits memory, as that of a container does: a real limit, under which the kernel ends what takes
more. Both versions, where this user may make one (root of a container or a machine; in version 2, where groups are handed on)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from revseg.container import VERSION_1, VERSION_2, groups


@dataclass(frozen=True)
class _Names:
    """One version's files, beside those that revseg reads."""

    swap: str
    peak: str
    events: str


NAMES = {
    VERSION_1: _Names("memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"),
    VERSION_2: _Names("memory.swap.max", "memory.peak", "memory.events"),
}


class ControlGroup:
    """A group inside this process's own one."""

    def __init__(self, folder: Path, names: _Names) -> None:
        self.folder, self._names = folder, names

    def enter(self) -> None:
        """Moves the process that calls, and all that it starts, into the group: for ``preexec_fn``."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def peak(self) -> int:
        """Most bytes so far, files that the kernel could drop included."""
        return int((self.folder / self._names.peak).read_text())

    @property
    def killed(self) -> int:
        """How many of its processes the kernel has ended for want of memory."""
        lines = (line.split() for line in (self.folder / self._names.events).read_text().splitlines())
        return next((int(words[1]) for words in lines if words[0] == "oom_kill"), 0)


@contextmanager
def control_group(memory: int) -> Iterator[ControlGroup]:
    """Makes a group of so many bytes, without swap, and removes it at the end. Raises OSError where that cannot be done."""
    found = next(iter(groups("memory")), None)
    if found is None:
        raise OSError("there are no control groups of memory here")
    version, parent = found
    names, folder = NAMES[version], parent / f"revseg-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / version.limit).write_text(str(memory))
        if (folder / names.swap).exists():  # version 1 limits memory and swap together
            (folder / names.swap).write_text(str(memory if version is VERSION_1 else 0))
        yield ControlGroup(folder, names)
    finally:
        _remove(folder)


def _remove(folder: Path, seconds: float = 10) -> None:
    """Removes a group. What the kernel has just ended stays in it for a moment."""
    last = time.monotonic() + seconds
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > last:
                raise
            time.sleep(0.05)
        else:
            return
