"""Which frames of a video belong to a part of it.

A whole number is a frame, counted from 0 in the order of the video, and with those that cannot be decoded. 12s, 1.5s, 1:30 and
1:02:30 are times since the first frame. What ends a part does not belong to it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

Moment = int | Fraction
"""A frame, or seconds since the first frame."""

FRAME = re.compile(r"\d{1,9}")
SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*s")
CLOCK = re.compile(r"(?:(\d{1,4}):(?=\d\d?:))?(\d{1,4}):(\d\d?(?:\.\d{1,9})?)")


def moment(name: str, text: str) -> Moment:
    """Returns what the text of a setting stands for. Raises ValueError in one sentence where it is neither frame nor time."""
    text = text.strip()
    if FRAME.fullmatch(text):
        return int(text)
    if found := SECONDS.fullmatch(text):
        return Fraction(found[1])
    if (found := CLOCK.fullmatch(text)) and (seconds := Fraction(found[3])) < 60:
        hours, minutes = int(found[1] or 0), int(found[2])
        if found[1] is None or minutes < 60:
            return 3600 * hours + 60 * minutes + seconds
    raise ValueError(f"data.{name} is {text}; give a frame, such as 300, or a time, such as 12s, 1.5s, 1:30 or 1:02:30")


@dataclass(frozen=True)
class Part:
    """A part of a video."""

    start: Moment = 0
    end: Moment | None = None
    every: Moment = 1
    """Every how many frames, or after how many seconds, one is taken."""
    most: int | None = None
    """How many are taken at most."""

    @classmethod
    def of(cls, start: str | None, end: str | None, every: str | None, *, most: int | None = None) -> Part:
        """Returns the part that settings name. Raises ValueError in one sentence for one that has no frame in any video."""
        found = cls(
            start=0 if start is None else moment("start", start),
            end=None if end is None else moment("end", end),
            every=1 if every is None else moment("every", every),
            most=most,
        )
        if found.every <= 0:
            raise ValueError(f"data.every is {every}; give 2 for every second frame, or a time such as 0.5s")
        if found.end is not None and (found.end <= 0 or (type(found.start) is type(found.end) and found.start >= found.end)):
            raise ValueError(f"data.end={end} is not after data.start={start or 0}; give a later frame or time")
        return found

    def frame_rate(self, rate: Fraction) -> Fraction:
        """Returns how many frames a second are taken of a video of some rate."""
        return rate / self.every if isinstance(self.every, int) else min(rate, 1 / self.every)

    def count(self, frames: int, step: Fraction) -> int:
        """Returns how many of a video's frames belong to it. step: seconds from one to the next."""
        return len(self._chosen(frames, step).taken)

    def positions(self, path: Path, frames: int, step: Fraction) -> list[int]:
        """Returns which of a video's frames belong to it. Raises ValueError in one sentence where there is none."""
        selection = self._chosen(frames, step)
        selection.check(path, frames, frames * step)
        return selection.taken

    def _chosen(self, frames: int, step: Fraction) -> Selection:
        selection = Selection(self)
        for number in range(frames):
            if selection.ends(number, number * step):
                break
            selection.takes(number, number * step)
        return selection


class Selection:
    """Chooses the frames of a part as they come, by number and time.

    taken: their numbers.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.taken: list[int] = []
        self._first = part.start if isinstance(part.start, int) else None
        self._due = None if isinstance(part.start, int) else part.start

    def takes(self, number: int, time: Fraction) -> bool:
        """Says whether the next frame belongs to the part."""
        if _before(number, time, self.part.start):
            return False
        every = self.part.every
        if isinstance(every, int):
            self._first = number if self._first is None else self._first
            found = (number - self._first) % every == 0
        else:
            due = time if self._due is None else self._due
            found = time >= due
            self._due = due + every * ((time - due) // every + 1) if found else due
        if found:
            self.taken.append(number)
        return found

    def ends(self, number: int, time: Fraction) -> bool:
        """Says whether a frame and all after it lie beyond the part."""
        return self._full or (self.part.end is not None and not _before(number, time, self.part.end))

    def ends_after(self, number: int) -> bool:
        """Says whether all frames after this number lie beyond the part, as far as numbers tell."""
        return self._full or (isinstance(self.part.end, int) and number + 1 >= self.part.end)

    def misses(self, number: int) -> bool:
        """Says whether a frame that cannot be decoded leaves a gap in the part."""
        if self._first is None or not isinstance(self.part.every, int) or self.ends_after(number - 1):
            return False
        return number >= self._first and (number - self._first) % self.part.every == 0

    def check(self, path: Path, frames: int | None, seconds: Fraction) -> None:
        """Raises ValueError in one sentence where the part has no frame; tells of an end beyond that of the video.

        frames: how many the video has, None: the part ended before it. seconds: up to its end.
        """
        start, end = _text(self.part.start), _text(self.part.end)
        there = f"{path}, which has {frames} frames, {float(seconds):.6g} s"
        if not self.taken and frames is not None and not _before(frames - 1, seconds, self.part.start):
            raise ValueError(f"no frame of {path} lies between data.start={start} and data.end={end}: give a longer part")
        if not self.taken and frames is not None:
            raise ValueError(f"data.start={start} is beyond the end of {there}: give an earlier frame or time")
        if not self.taken:
            raise ValueError(f"no frame of {path} lies between data.start={start} and data.end={end}: give a longer part")
        beyond = frames is not None and not self._full and self.part.end is not None
        if beyond and frames is not None and _before(frames, seconds, self.part.end or 0):
            logging.getLogger(__name__).warning(f"data.end={end} is beyond the end of {there}: it is read up to there")

    @property
    def _full(self) -> bool:
        return len(self.taken) == self.part.most


def _before(number: int, time: Fraction, limit: Moment) -> bool:
    return number < limit if isinstance(limit, int) else time < limit


def _text(limit: Moment | None) -> str:
    return "null" if limit is None else str(limit) if isinstance(limit, int) else f"{float(limit):.9g}s"
