"""Windows along T: parts of a video that a network sees one at a time, where all of it at once fits no memory.

They are a last resort. What lies further apart than a window is long, the network cannot connect.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SHARED = 4
"""Windows that follow one another share at least one frame in so many."""


def window_frames(frames: int, window: int | None) -> int:
    """Returns how many of the frames of a video a network sees at a time; window: at most, None: all."""
    return frames if window is None else min(frames, window)


def windows_of(frames: int, window: int | None) -> list[range]:
    """Returns the windows that cover a video, evenly spread; one of all frames where that is no longer than a window."""
    length = window_frames(frames, window)
    if length == frames:
        return [range(frames)]
    gaps = -(-(frames - length) // (length - length // SHARED))
    starts = [number * (frames - length) // gaps for number in range(gaps + 1)]
    return [range(start, start + length) for start in starts]


def weights_of(windows: Sequence[range]) -> list[Tensor]:
    """Returns how much each frame of each window counts, (t,) float32 of each: less towards its ends, in sum 1."""
    inner = [_from_the_ends(len(own)) for own in windows]
    total = torch.zeros(windows[-1].stop)
    for own, count in zip(windows, inner, strict=True):
        total[own.start : own.stop] += count
    return [count / total[own.start : own.stop] for own, count in zip(windows, inner, strict=True)]


def _from_the_ends(frames: int) -> Tensor:
    """Returns 1, 2, ... up to the middle and down again."""
    places = torch.arange(frames)
    return torch.minimum(places + 1, frames - places)
