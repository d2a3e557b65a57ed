"""Zip archives of labels: unpacked into a folder for as long as they are read, within limits."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from revseg.labels.formats.text import AGAIN

WANTED = (".xml", ".json", ".txt", ".yaml", ".yml", ".names", ".png", ".bmp", ".tif", ".tiff", ".npy")
"""Endings of files that are labels, or say what they mean; pictures of the video itself, which are JPEG, stay packed."""
MOST_FILES = 200_000
MOST_BYTES = 1 << 32
CHUNK = 1 << 20
ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
"""What damaged, encrypted and strangely packed archives raise."""


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder that an archive holds; the path itself where it is none."""
    if not is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="revseg-labels-") as name:
        folder = Path(name)
        _unpack(path, folder)
        yield folder


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive, by its content."""
    return path.is_file() and zipfile.is_zipfile(path) and path.suffix.lower() not in (".npz", ".docx", ".xlsx")


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_wanted(member)]
            if len(members) > MOST_FILES:
                raise ValueError(f"labels {path} are an archive of more than {MOST_FILES} files: {AGAIN}")
            left = MOST_BYTES
            for member in members:
                left -= _write(archive, member, folder / _inside(member.filename, path), left=left)
                if left < 0:
                    raise ValueError(f"labels {path} unpack to more than {MOST_BYTES >> 30} GiB: split them")
    except ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a full disk, not a damaged archive
        raise ValueError(f"labels {path} are an archive that cannot be unpacked ({error}): {AGAIN}") from error


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(member.filename)
    return not member.is_dir() and name.suffix.lower() in WANTED and "__MACOSX" not in name.parts


def _inside(name: str, path: Path) -> PurePosixPath:
    """The name of a file in the archive. Raises ValueError where it leads out of the folder."""
    found = PurePosixPath(name)
    if found.is_absolute() or ".." in found.parts or "\\" in name or ":" in name or "\0" in name:
        raise ValueError(f"labels {path} are an archive with the file {name[:60]!r}, which leads out of its folder: {AGAIN}")
    return found


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, *, left: int) -> int:
    """Writes one file; returns its size, more than is left as soon as it is. What the archive says of sizes is not trusted."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(member) as source, target.open("wb") as file:
        while size <= left and (chunk := source.read(CHUNK)):
            size += len(chunk)
            file.write(chunk)
    return size
