"""The largest trainable volume: how many frames of a fixed size train within ``limit`` bytes.

Peaks are measured, never forecast: the search walks along the line through the last two measured peaks, and
keeps to the bracket between the longest video that fitted and the shortest that did not. All peers search at
the same time, a process for each measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.case import Case, depth_of
from benchmark.group import Group, Setting, run

STEP = 8  # frames; a multiple of every network's
CLOSE = 0.97  # of the limit: as good as all of it
PROBES = 6
FARTHEST = 32  # times what fitted: the line through two small videos may point anywhere


@dataclass
class Search:
    """One peer's search over the number of frames."""

    limit: int
    peaks: dict[int, float] = field(default_factory=dict)

    @property
    def fitting(self) -> int:
        """Frames of the longest video that fitted, 0 for none."""
        return max((frames for frames, peak in self.peaks.items() if peak <= self.limit), default=0)

    def next(self) -> int | None:
        """Frames to try next; None where the answer is known to ``STEP`` frames."""
        if len(self.peaks) < 2:
            return STEP * (len(self.peaks) + 1)
        low = self.fitting
        high = min((frames for frames, peak in self.peaks.items() if peak > self.limit), default=None)
        if (high is not None and high - low <= STEP) or (low and self.peaks[low] > CLOSE * self.limit):
            return None
        aim = self._aim()
        if high is None:
            aim = min(aim, FARTHEST * low) if aim else 2 * low
        elif not 0 < aim < high:
            aim = (low + high) // 2
        guess = max(aim // STEP * STEP, low + STEP)
        return None if guess in self.peaks else guess

    def _aim(self) -> int:
        """Where the line through the two longest measured videos meets the limit; 0 without such a line."""
        known = sorted((frames, peak) for frames, peak in self.peaks.items() if peak != float("inf"))[-2:]
        if len(known) < 2 or known[1][1] <= known[0][1]:
            return 0
        (t0, p0), (t1, p1) = known
        return int(t1 + (self.limit - p1) * (t1 - t0) / (p1 - p0))


def find(peers: tuple[str, ...], frame: tuple[int, int], limit: int, setting: Setting) -> dict[str, Any]:
    """One record per peer: {"peer", "frames", "peak", "probes": {frames: peak}, ...}."""
    searches = {peer: Search(limit) for peer in peers}
    errors: dict[str, str] = {}
    wall = 0.0
    for _ in range(PROBES):
        wanted = {peer: frames for peer, search in searches.items() if peer not in errors and (frames := search.next())}
        if not wanted:
            break
        cases = tuple(Case(peer, (frames, *frame), depth_of(16)) for peer, frames in wanted.items())
        done = run(Group("largest", cases, 0), setting)
        wall += done["wall_seconds"]
        for record in done["cases"]:
            _note(record, searches[record["peer"]], errors)
    records = [
        _record(peer, search, frame) | ({"error": errors[peer]} if peer in errors else {}) for peer, search in searches.items()
    ]
    return {"cases": records, "limit": limit, "frame": list(frame), "wall_seconds": wall}


def _note(record: dict[str, Any], search: Search, errors: dict[str, str]) -> None:
    error = record.get("error", "")
    if error in ("", "out of memory"):
        search.peaks[record["size"][0]] = float("inf") if error else record["peak"]
    else:
        errors[record["peer"]] = error


def _record(peer: str, search: Search, frame: tuple[int, int]) -> dict[str, Any]:
    frames = search.fitting
    probes = {str(n): None if peak == float("inf") else peak for n, peak in sorted(search.peaks.items())}
    return {
        "peer": peer,
        "frames": frames,
        "voxels": frames * frame[0] * frame[1],
        "peak": search.peaks.get(frames),
        "probes": probes,
    }
