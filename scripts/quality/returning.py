"""Clips in which an object leaves and comes back, with the truth: made from two sequences of a DAVIS data set.

cut      the object's video is interrupted by another one
cover    a board, painted with another video, slides before the object, stays there, and slides on
away     the camera, a part of the frame wide, turns away from the object and back; where there is room for that beside it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from revseg.labels.sample import Sample

Pixels = NDArray[np.uint8]

BEFORE, BETWEEN, AFTER = range(14), range(14, 26), range(26, 40)
"""Frames of a clip: the object is seen, is not, and is again."""
SLIDES = 5
"""Frames in which the board comes and goes, and the camera turns, before and after those."""
SHARE, MARGIN = 0.4, 12
"""Width of the camera's frame, of the video's; and pixels between the object and the edge of what hides it."""


@dataclass(frozen=True)
class Clip:
    name: str
    frames: Pixels
    """(T, H, W, 3)."""
    truth: Pixels
    """(T, H, W): 1 where the object is seen."""


def clips(video: Sample, other: Sample) -> Iterator[Clip]:
    """Those that can be made of a video of one object, all of whose frames have labels, and another one."""
    count = AFTER.stop
    if min(video.frames, other.frames) < count:
        raise ValueError(f"{video.name} and {other.name} need {count} frames each: there are {video.frames} and {other.frames}")
    frames = video.volume[:, :count].permute(1, 2, 3, 0).numpy()
    truth = (video.masks[:count].numpy() == 1).astype(np.uint8)
    strange = other.volume[:, :count].permute(1, 2, 3, 0).numpy()
    strange = np.stack([np.asarray(Image.fromarray(frame).resize(frames.shape[2:0:-1])) for frame in strange])
    yield cut(video.name, frames, truth, strange=strange)
    yield cover(video.name, frames, truth, strange=strange)
    if (found := away(video.name, frames, truth)) is not None:
        yield found


def cut(name: str, frames: Pixels, truth: Pixels, *, strange: Pixels) -> Clip:
    frames, truth = frames.copy(), truth.copy()
    frames[list(BETWEEN)], truth[list(BETWEEN)] = strange[list(BETWEEN)], 0
    return Clip(f"cut-{name}", frames, truth)


def cover(name: str, frames: Pixels, truth: Pixels, *, strange: Pixels) -> Clip:
    """The board is as high as the frame, and as wide as what the object reaches while it is covered."""
    frames, truth = frames.copy(), truth.copy()
    width = frames.shape[2]
    columns = np.flatnonzero(truth[list(BETWEEN)].any((0, 1)))
    first, last = max(0, columns[0] - MARGIN), min(width, columns[-1] + 1 + MARGIN)
    for frame in range(BETWEEN.start - SLIDES, BETWEEN.stop + SLIDES):
        # From beyond the left edge to its place, and on beyond the right one.
        coming, going = (BETWEEN.start - frame) / SLIDES, (frame + 1 - BETWEEN.stop) / SLIDES
        shift = round(-max(coming, 0) * last + max(going, 0) * (width - first))
        board = slice(max(0, first + shift), max(0, min(width, last + shift)))
        frames[frame][:, board], truth[frame][:, board] = strange[0][:, board], 0
    return Clip(f"cover-{name}", frames, truth)


def away(name: str, frames: Pixels, truth: Pixels) -> Clip | None:
    """None where the object leaves no room for a frame beside it."""
    width = frames.shape[2]
    wide = round(SHARE * width)
    columns = np.flatnonzero(truth[list(BETWEEN)].any((0, 1)))
    if columns[0] - MARGIN >= wide:
        turned = columns[0] - MARGIN - wide
    elif columns[-1] + 1 + MARGIN + wide <= width:
        turned = columns[-1] + 1 + MARGIN
    else:
        return None
    seen, labels = [], []
    for frame, (picture, mask) in enumerate(zip(frames, truth, strict=True)):
        middle = np.flatnonzero(mask.any(0)).mean() if mask.any() else width / 2
        following = np.clip(middle - wide / 2, 0, width - wide)
        share = np.clip(min((frame - BETWEEN.start) / SLIDES + 1, (BETWEEN.stop - 1 - frame) / SLIDES + 1), 0, 1)
        left = round((1 - share) * following + share * turned)
        seen.append(picture[:, left : left + wide])
        labels.append(mask[:, left : left + wide])
    return Clip(f"away-{name}", np.stack(seen), np.stack(labels))


def write(root: Path, clip: Clip) -> None:
    """Adds a clip to a data set in the layout of DAVIS 2016."""
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p" / clip.name).mkdir(parents=True, exist_ok=True)
    for frame, (picture, mask) in enumerate(zip(clip.frames, clip.truth, strict=True)):
        Image.fromarray(picture).save(root / "JPEGImages" / "480p" / clip.name / f"{frame:05d}.jpg", quality=95)
        Image.fromarray(255 * mask).save(root / "Annotations" / "480p" / clip.name / f"{frame:05d}.png")
