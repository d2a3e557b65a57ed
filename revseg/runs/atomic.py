"""Files appear whole or not at all, and stay when the power is cut."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from revseg.runs import lock

CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)
"""What file systems answer that sync no folders, and folders that may be written but not read."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name to write to, beside `path`: renamed to it when the block ends well, else removed.

    The file is on the disk before it gets its name, and the name before the block is left: a power cut leaves the old file or
    the new one, and what is written later relies on this one. Missing folders are made, but not those of a run whose folder
    was removed meanwhile. Raises OSError in one sentence when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.parent / f".{secrets.token_hex(6)}.partial"  # without its name, which may be long
    try:
        with writing(path):
            make_folder(path.parent)
            yield temporary
            sync_file(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """The path, to be written to in the block: for a folder that is made aside, and put on the disk as a whole (``sync_files``).

    Raises OSError in one sentence when it cannot be written or the disk is full, or the folder of its run was removed meanwhile;
    with errno ENOMEM where memory has no room for an encoder or its threads.
    """
    try:
        lock.check_not_removed(path)
        yield path
    except OSError as error:
        if error.errno is None:  # one of our sentences already
            raise
        if error.errno in (errno.EAGAIN, errno.ENOMEM):
            raise OSError(errno.ENOMEM, f"cannot write {path}: {os.strerror(errno.ENOMEM)}") from error
        if isinstance(error, FileNotFoundError):
            lock.check_not_removed(path)
        reason = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
        remedy = "free space there or choose another output folder"
        raise OSError(f"cannot write {path}: {reason}; {remedy}") from error


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it, so that they stay when the power is cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_files(folder: Path) -> None:
    """Puts the files in a folder on the disk, and their names."""
    for path in folder.iterdir():
        with writing(path):
            sync_file(path)
    sync_folder(folder)


def sync_file(path: Path) -> None:
    """Puts the content of a file on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk: a rename is there only once its folder is."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


def remove_leftovers(folder: Path) -> None:
    """Removes files that a killed process left half-written; call it under the lock: those of one at work look the same."""
    for leftover in folder.glob(".*.partial"):
        leftover.unlink(missing_ok=True)
