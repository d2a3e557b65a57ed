"""Which window of a video a step sees, where it does not see all of it (``revseg.network.windows``)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import torch

from revseg.network.windows import window_frames
from revseg.training.feed import generator_for


def window_of_step(labelled_frames: Sequence[int], frames: int, window: int | None, *, seed: int, index: int) -> range:
    """Returns the frames that step number `index` sees: a window around a labelled frame, which lies anywhere in it."""
    length = window_frames(frames, window)
    if length == frames:
        return range(frames)
    which, where = torch.rand(2, generator=generator_for("window", seed, index)).tolist()
    frame = labelled_frames[int(which * len(labelled_frames))]
    first, last = max(0, frame - length + 1), min(frame, frames - length)
    start = first + int(where * (last + 1 - first))
    return range(start, start + length)


def most_labelled(labelled_frames: Sequence[int], frames: int, window: int | None) -> int:
    """Returns how many labelled frames (ascending) a window has at most."""
    length = window_frames(frames, window)
    return max((bisect_left(labelled_frames, first + length) - row for row, first in enumerate(labelled_frames)), default=0)
