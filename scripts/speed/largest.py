"""The largest trainable volume: how many frames of a fixed size train within a limit of memory.

Peaks are measured, never forecast: the search walks along the line through the last two measured peaks, and keeps to the bracket
between the longest video that fitted and the shortest that did not. All peers search at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from harness.process import OUT_OF_MEMORY

from speed.case import Case, Group, depth_of
from speed.measurement import Setting, run

STEP = 8  # frames; a multiple of every network's
CLOSE = 0.97  # of the limit: as good as all of it
PROBES = 6
FARTHEST = 32  # times what fitted: the line through two small videos may point anywhere


def fitting(peaks: Mapping[int, float], limit: int) -> int:
    """Returns the frames of the longest video that fitted, 0 for none."""
    return max((frames for frames, peak in peaks.items() if peak <= limit), default=0)


def following(peaks: Mapping[int, float], limit: int) -> int | None:
    """Returns the frames to try next; None where the answer is known to ``STEP`` frames. peaks: of the frames tried."""
    if len(peaks) < 2:
        return STEP * (len(peaks) + 1)
    low, high = fitting(peaks, limit), min((frames for frames, peak in peaks.items() if peak > limit), default=None)
    if (high is not None and high - low <= STEP) or (low and peaks[low] > CLOSE * limit):
        return None
    known, aim = sorted((frames, peak) for frames, peak in peaks.items() if peak != inf)[-2:], 0
    if len(known) == 2 and known[1][1] > known[0][1]:
        (t0, p0), (t1, p1) = known
        aim = int(t1 + (limit - p1) * (t1 - t0) / (p1 - p0))
    if high is None:
        aim = min(aim, FARTHEST * low) if aim else 2 * low
    elif not 0 < aim < high:
        aim = (low + high) // 2
    guess = max(aim // STEP * STEP, low + STEP)
    return None if guess in peaks else guess


def find(peers: tuple[str, ...], frame: Sequence[int], limit: int, setting: Setting) -> dict[str, Any]:
    """Returns one record per peer: {"peer", "frames", "voxels", "peak", "probes": {frames: peak}}."""
    peaks: dict[str, dict[int, float]] = {peer: {} for peer in peers}
    errors: dict[str, dict[str, str]] = {peer: {} for peer in peers}
    for _ in range(PROBES):
        wanted = {peer: n for peer in peers if not errors[peer] and (n := following(peaks[peer], limit))}
        cases = tuple(Case(peer, (n, frame[0], frame[1]), depth_of(16)) for peer, n in wanted.items())
        for record in run(Group("largest", cases, 0), setting)["cases"]:
            error = record.get("error", "")
            if error in ("", OUT_OF_MEMORY):
                peaks[record["peer"]][record["size"][0]] = inf if error else record["peak"]
            else:
                errors[record["peer"]] = {"error": error}
    cases_found = []
    for peer, tried in peaks.items():
        n, probes = fitting(tried, limit), {str(n): None if peak == inf else peak for n, peak in sorted(tried.items())}
        found = {"peer": peer, "frames": n, "voxels": n * frame[0] * frame[1], "peak": tried.get(n), "probes": probes}
        cases_found.append(found | errors[peer])
    return {"cases": cases_found, "limit": limit, "frame": list(frame)}
