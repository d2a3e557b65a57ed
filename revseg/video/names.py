"""What the names of files say: which frame each is, and in which order they come.

Numbers inside names count as numbers: ``frame_2`` comes before ``frame_10``, and ``frame_2`` and ``frame_02`` are the same frame.
An order that is not clear is refused: one file named otherwise than the rest, a counter that began anew, numbers that contradict.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

Identity = tuple[str | int, ...]
"""Text and numbers of a name in turn, text first, upper case as lower case."""

NUMBER = re.compile(r"(\d+)")
DATE = r"(?:19|20)\d\d([-_.]?)[01]\d\1[0-3]\d"
CLOCK = r"[0-2]\d([-_.:h]?)[0-5]\d[-_.:m]?[0-5]\d(?:[-_.,]?\d{3,9})?"
TIME = re.compile(rf"(?<!\d)(?:{DATE}(?:[-_. t]*{CLOCK})?|{CLOCK.replace('h]?', 'h]')})(?!\d)")
"""A date, a date with the time of the day, or that alone: 2024-05-17_10-30-59.250."""
COUNTERS = {3: (3,), 4: (4,), 5: (5, 4)}
"""After how many digits a camera's counter may begin anew, by the digits of its names: some write 9999 as 09999."""


def identity(name: str) -> Identity:
    """Returns what a name (without suffix) stands for; names that differ in case or leading zeros are one."""
    parts = NUMBER.split(normalize("NFC", name).casefold())
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts))


def kind(name: str) -> Identity:
    """Returns the text of a name around its numbers."""
    return identity(name)[::2]


def is_time(name: str, place: int) -> bool:
    """Whether a number of a name, counted from 0, is part of a date or of the time of a day."""
    text = name.casefold()
    start, end = [match.span() for match in NUMBER.finditer(text)][place]
    return any(match.start() <= start and end <= match.end() for match in TIME.finditer(text))


def is_fraction(texts: Sequence[str | int], place: int) -> bool:
    """Whether a number of a name stands after another one and a point. texts: ``kind`` of the name."""
    return place > 0 and texts[place] in (".", ",")


def ordered(files: Iterable[Path]) -> list[Path]:
    """Returns the files of one folder in the order of their frames. Raises ValueError where their names leave it open."""
    named = sorted((identity(path.stem), path.name, path) for path in files)
    found, identities = [path for _, _, path in named], [each for each, _, _ in named]
    if len(found) > 1:
        _check_kinds(found, identities)
        _check_fractions(found)
        for (one, other), (first, second) in zip(pairwise(found), pairwise(identities), strict=True):
            if first == second:
                raise ValueError(f"{one} and {other.name} are the same frame twice: remove one of them")
        _check_numbers(found, identities)
    return found


@lru_cache(maxsize=256)
def tell_once(sentence: str) -> None:
    """Warns, once in a process: a folder is listed many times."""
    logging.getLogger(__name__).warning(sentence)


def _check_kinds(files: list[Path], identities: list[Identity]) -> None:
    """Files named in several ways have no order; without any number they have that of the alphabet."""
    counts = Counter(each[::2] for each in identities)
    if len(counts) == 1:
        return
    if not any(NUMBER.search(path.stem) for path in files):
        tell_once(f"the names in {files[0].parent} have no number: frames are taken by the alphabet, {_some(files)}")
        return
    usual, _ = counts.most_common(1)[0]
    rarest = min(counts, key=lambda texts: (counts[texts], texts == usual))
    stray, other = (next(path for path in files if kind(path.stem) == texts) for texts in (rarest, usual))
    raise ValueError(
        f"{stray} is named otherwise than {other.name}, so that its place among the frames is not clear: "
        "remove it, or give all files of the folder one name with a number that counts"
    )


def _check_fractions(files: list[Path]) -> None:
    """1.5 comes after 1.25 as a number, and before it where parts are counted."""
    texts = kind(files[0].stem)
    places = [place for place in range(1, len(texts) - 1) if is_fraction(texts, place)]
    digits = [NUMBER.findall(path.stem) for path in files] if places else []
    for place in places:
        parts = [row[place] for row in digits]
        if len(set(map(len, parts))) == 1 or _counts([int(part) for part in parts], by=1):
            continue
        values = [
            (*map(int, row[: place - 1]), Fraction(f"{row[place - 1]}.{row[place]}"), *map(int, row[place + 1 :]))
            for row in digits
        ]
        counted = len({identity(path.stem) for path in files}) == len(files)
        if len(set(values)) == len(values) and not (counted and values == sorted(values)):
            raise ValueError(
                f"the order of {_some(files)} in {files[0].parent} is not clear, since 1.25 may come before or after 1.5: "
                "give all fractions as many digits"
            )


def _check_numbers(files: list[Path], identities: list[Identity]) -> None:
    """Files of one kind, sorted: what their numbers say must agree."""
    texts = identities[0][::2]
    columns = list(zip(*(each[1::2] for each in identities), strict=True))
    places = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    free = [place for place in places if not is_fraction(texts, place) and not all(is_time(path.stem, place) for path in files)]
    if len(places) == 1 and free:
        _check_counter(files, place=places[0])
    for place in free:
        column = columns[place]
        if list(column) == sorted(column):
            continue
        if len(set(column)) == len(column) and (_counts(column) or not _counts(columns[places[0]])):
            raise ValueError(
                f"the order of {_some(files)} in {files[0].parent} is not clear, since each name has two numbers and they "
                "contradict: leave the one in the names that counts the frames"
            )
        tell_once(
            f"the names in {files[0].parent} have several numbers: frames are ordered by the first, then by the next, "
            f"{_some(files)}"
        )


def _check_counter(files: list[Path], place: int) -> None:
    """A camera's counter that began anew puts what was taken last first."""
    digits = [NUMBER.findall(path.stem)[place] for path in files]
    if len(widths := {len(text) for text in digits}) > 1:
        return
    numbers = [int(text) for text in digits]
    steps = sorted((after - before, index) for index, (before, after) in enumerate(pairwise(numbers)))
    jump, index = steps[-1]
    usual = steps[-2][0] if len(steps) > 1 else 1
    for counter in COUNTERS.get(widths.pop(), ()):
        anew = numbers[0] + 10**counter - numbers[-1]  # the step from the last number to the first, if it began anew
        if anew <= 10 * (usual + 1) and jump > max(3 * usual, 10**counter // 4):
            last, first, before, after = (files[at].name for at in (-1, 0, index, index + 1))
            raise ValueError(
                f"the order of the frames in {files[0].parent} is not clear, since a camera goes on after {last} with {first}: "
                f"if it did, rename {first} to {before} with greater numbers, else {after} and all others with six digits"
            )


def _counts(column: Sequence[int | str], by: int | None = None) -> bool:
    """Whether three numbers or more are evenly spaced once they are sorted. by: at this distance, None: at any."""
    values = sorted(map(int, column))
    steps = {after - before for before, after in pairwise(values)}
    return len(values) > 2 and len(steps) == 1 and 0 not in steps and (by is None or by in steps)


def _some(files: list[Path]) -> str:
    names = [path.name for path in files]
    return ", ".join(names if len(names) <= 4 else [*names[:3], "...", names[-1]])
