"""Files appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name to write to, beside `path`: renamed to it when the block ends well, else removed.

    The file is on the disk before it gets its name, so a crash leaves the old file or the new one. Missing
    folders are made. Raises OSError in one sentence when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.parent / f".{secrets.token_hex(6)}.partial"  # without its name, which may be long
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:  # one of our sentences already
            raise
        reason = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
        remedy = "free space there or choose another output folder"
        raise OSError(f"cannot write {path}: {reason}; {remedy}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
