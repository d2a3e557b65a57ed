"""What is done to bytes, text and folders: the damages of copies, editors and people, and of those who mean harm."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from random import Random

NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "255",
    "65536",
    "2147483648",
    "1e30",
    "-1e30",
    "1e-30",
    "nan",
    "inf",
    "1e999",
    "10**9",
    "0x10",
    "1_0",
]
WORDS = ["", "null", "true", "none", "auto", "ü", "..", "/", "/dev/null", "/etc/passwd", "a b", "x" * 300,
         "{}", "[]", "[[]]", "[1,2]", "{a: 1}", "${seed}", "${oc.env:HOME}", "${", "'", '"', "\\", "=", ",", "(", "-", "--", "\t",
         "???", "!!x", "&a", "*a", "range(1,9)"]  # fmt: skip
BEGINNINGS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"PK\x03\x04", b"\x93NUMPY\x01\0", b"II*\0", b"MM\0*", b"II+\0\x08",
              b"GIF89a", b"RIFF", b"\x1aE\xdf\xa3", b"\0\0\0\x20ftypisom", b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\n",
              b"BM", b"%PDF-1.4", b"<svg", b"\xef\xbb\xbf"]  # fmt: skip


def damaged(content: bytes, random: Random) -> bytes:
    """Returns the bytes with one to four damages."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = random.choice((_flip, _flip, _noise, _noise, _cut, _remove, _repeat, _insert, _number, _header, _zero))(
            content, random
        )
    return content


def _place(content: bytes, random: Random) -> int:
    # Half of them at the beginning, where headers are.
    return random.randrange(max(1, len(content) if random.random() < 0.5 else min(len(content), 200)))


def _flip(content: bytes, random: Random) -> bytes:
    changed = bytearray(content or b"\0")
    changed[_place(content, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _noise(content: bytes, random: Random) -> bytes:
    start, size = _place(content, random), random.choice((1, 4, 16, 200))
    return content[:start] + random.randbytes(size) + content[start + size :]


def _zero(content: bytes, random: Random) -> bytes:
    start, size = _place(content, random), random.choice((4, 64, 4096))
    return content[:start] + bytes(size) + content[start + size :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _remove(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + content[start + random.choice((1, 7, 300)) :]


def _repeat(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[: start + random.choice((8, 300, len(content)))] + content[start:]


def _insert(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + random.randbytes(random.choice((1, 3, 100))) + content[start:]


def _number(content: bytes, random: Random) -> bytes:
    """An extreme number in a place of 1, 2, 4 or 8 bytes."""
    size, start = random.choice((1, 2, 4, 8)), _place(content, random)
    value = random.choice((0, 1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 1), (1 << (8 * size)) - 1, 1 << (4 * size)))
    return content[:start] + value.to_bytes(size, random.choice(("big", "little"))) + content[start + size :]


def _header(content: bytes, random: Random) -> bytes:
    """The beginning of something else."""
    magic = random.choice(BEGINNINGS)
    return magic + content[random.choice((0, len(magic))) :]


def edited(text: str, random: Random) -> str:
    """Returns the text with one to three edits of lines and words."""
    for _ in range(random.choice((1, 1, 2, 3))):
        lines = text.splitlines(keepends=True) or ["\n"]
        at = random.randrange(len(lines))
        edit = random.randrange(8)
        if edit == 0:
            del lines[at]
        elif edit == 1:
            lines.insert(at, random.choice(lines))
        elif edit == 2:
            lines[at] = f"{random.choice(('  ', chr(9), '- ', '# ', '../', '﻿'))}{lines[at]}"
        elif edit == 3:
            lines[at] = f"{random.choice(WORDS)}\n"
        elif edit == 4:
            lines[at] = lines[at].rstrip("\n") + random.choice((" ", " x", ": 1", "\r\n", "\0\n", "/", "/../..\n"))
        else:
            words = re.findall(r"[\w.]+|\W+", lines[at]) or [""]
            words[random.randrange(len(words))] = random.choice(NUMBERS + WORDS)
            lines[at] = "".join(words)
        text = "".join(lines)
    return text


def disturbed(folder: Path, random: Random) -> None:
    """Does one thing to the files of a folder that people and programs do to folders."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        return
    file, other = random.choice(files), random.choice(files)
    disturbance = random.randrange(12)
    if disturbance <= 2:
        file.write_bytes(damaged(file.read_bytes(), random))
    elif disturbance == 3:
        file.write_bytes(b"")
    elif disturbance == 4:
        file.unlink()
    elif disturbance == 5:
        names = f"{file.stem}.txt", f"x{file.name}", f"{file.stem}_2{file.suffix}", f"0{file.name}"
        file.rename(file.with_name(random.choice(names)))
    elif disturbance == 6:
        names = f"._{file.name}", f"{file.stem} (1){file.suffix}", f"{file.stem}{file.suffix.upper()}", f"{file.name}~"
        shutil.copy(file, file.with_name(random.choice(names)))
    elif disturbance == 7:
        file.write_bytes(other.read_bytes()[: len(file.read_bytes())])
    elif disturbance == 8:
        file.unlink()
        file.mkdir()
    elif disturbance == 9:
        file.unlink()
        file.symlink_to(random.choice((file.name, "nowhere", "/dev/null", "..")))
    elif disturbance == 10:
        file.chmod(0)
    else:
        file.unlink()
        os.mkfifo(file)
