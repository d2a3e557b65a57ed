"""One process at a time works in the folder of a run.

The lock belongs to an open file, <folder>/.lock: the system frees it when the process ends, however it ends.
The file stays; its text says who holds the lock and is empty when nobody does.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

NAME = ".lock"
WITHOUT_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
"""What file systems answer that have no locks."""

logger = logging.getLogger(__name__)

_held: dict[int, Path] = {}
"""Open lock files of this process and the folders they lock."""


@contextmanager
def locked(folder: Path, purpose: str, setting: str = "run_dir") -> Iterator[None]:
    """Keeps other processes out of a folder during the block; makes the folder if it is missing.

    purpose: the program, for the sentence that others get. setting: that which chooses the folder. Raises ValueError when
    another one works in the folder, OSError when it cannot be written. A file system without locks gives one warning, and the
    block runs.
    """
    file = _open_locked(folder, setting)
    _close_in_forks()
    _held[file] = folder.resolve()
    try:
        _sign(file, purpose)
        yield
    finally:
        if _held.pop(file, None):  # else this is a forked child, which has closed it
            with suppress(OSError):  # must not hide what went wrong in the block
                os.ftruncate(file, 0)
            os.close(file)


def holds(folder: Path) -> bool:
    """Whether this process is inside `locked(folder)`."""
    return folder.resolve() in _held.values()


def in_use(folder: Path) -> bool:
    """Whether a process, this one or another, is inside `locked(folder)`; as far as the file system has locks."""
    try:
        with (folder / NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def check_not_removed(path: Path) -> None:
    """Raises OSError in one sentence where a path lies in a folder that this process has locked, and that is gone.

    Who removes the folder of a process at work wants it to end, not to make the folder anew with half of what was in it.
    """
    whole = path.resolve()
    for file, folder in _held.items():
        if whole.is_relative_to(folder) and not _is_named(file, folder):
            raise OSError(
                f"cannot write {path}: {folder} was removed, or {NAME} in it, while a process worked there; start again"
            )


def _open_locked(folder: Path, setting: str) -> int:
    """Descriptor of the lock file, locked."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OSError(f"cannot write {folder}: {error.strerror}; choose another folder with {setting}=") from error
        try:
            _lock(file, folder, setting)
            if _is_named(file, folder):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its holder has just removed the file: it locks nothing any more


def _lock(file: int, folder: Path, setting: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(f"{folder} is in use by {_holder(file)}; wait for it, or choose another {setting}=") from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise OSError(f"cannot lock {folder}: {error.strerror}; choose another folder with {setting}=") from error
        logger.warning("the file system of %s has no locks: take care that no second process uses this folder", folder)


def _is_named(file: int, folder: Path) -> bool:
    """Whether the open file is the one that others find under its name."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(folder / NAME))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _sign(file: int, purpose: str) -> None:
    """Writes who holds the lock."""
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "purpose": purpose, "since": since, "host": socket.gethostname()}
    with suppress(OSError):  # the lock holds without its text, on a full disk too
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)


def _holder(file: int) -> str:
    """The holder in words: process 123 (revseg-train, since 12:30:05)."""
    try:
        holder = json.loads(os.pread(file, 4096, 0))
        since = datetime.fromisoformat(holder["since"]).astimezone()
        today = since.date() == datetime.now().date()
        when = since.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")
        where = "" if holder["host"] == socket.gethostname() else f" on {holder['host']}"
        return f"process {holder['pid']}{where} ({holder['purpose']}, since {when})"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written its text yet
        return "another process"


@functools.cache
def _close_in_forks() -> None:
    """Closes the lock files in forked children: a worker that outlives its killed parent would keep the lock."""
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    for file in _held:
        os.close(file)
    _held.clear()
