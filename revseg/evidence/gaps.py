"""Gaps: the frames between two labelled frames, or beyond the outer ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Gap:
    """Frames first ... stop - 1 without labels, and what lies at their ends."""

    first: int
    stop: int
    before: int | None
    """Number of the labelled frame before it (its row), None at the start of the video."""
    after: int | None
    only: bool
    """There is but one labelled frame."""

    @property
    def rows(self) -> list[int]:
        return [row for row in (self.before, self.after) if row is not None]

    def frames_from(self, row: int) -> range:
        """In the order in which labels of that row pass them."""
        return range(self.first, self.stop) if row == self.before else range(self.stop - 1, self.first - 1, -1)

    def virtual(self, row: int, share: float) -> int | None:
        """The frame that gives labels back; None where nothing shows how far off labels are usually carried."""
        if len(self.rows) == 1 and not self.only:
            return None
        frames = self.frames_from(row)
        distance = round(share * (len(frames) + 1))
        return frames[min(distance, len(frames)) - 1] if frames and distance else None


def gaps_between(labelled_frames: Sequence[int], frames: int) -> list[Gap]:
    """Returns the gaps of a video, in the order of their frames."""
    ends = [-1, *labelled_frames, frames]
    only = len(labelled_frames) == 1
    found = [
        Gap(first + 1, stop, number - 1 if number else None, after=number if number < len(ends) - 2 else None, only=only)
        for number, (first, stop) in enumerate(pairwise(ends))
    ]
    return [gap for gap in found if gap.first < gap.stop]
