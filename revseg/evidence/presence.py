"""Which objects are in a frame at all.

An object is followed away from each labelled frame up to the next one, and is there where either way shows it. It is lost

    where the video is cut     neighbouring frames agree (``Flow.agreement``) by less than CUT in the mean
    where it is a speck        its mask is smaller than speck a
    where looks deny it        they know of less than DENIED a, and of less than FALLEN of the most in BEFORE frames

and found again where looks know of found a. a: the least area that labels show of it, in frames that they show whole. Looks know
a pixel of which two classifiers are sure: the one that weighs the evidence, and one that has learned from labels alone. The first
knows what an object has become since, and the second has not learned from evidence that was wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg.evidence.cache import digest
from revseg.evidence.config import PresenceConfig
from revseg.evidence.fields import Field
from revseg.evidence.gaps import gaps_between
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample

VERSION = 1
"""Version of what this file makes of the same masks, looks and settings."""

CUT = 0.12
"""In 10 real sequences and 23 made of them, frames agree by 0.22 to 0.81 in the mean, and by 0.08 at most across a cut."""
DENIED, FALLEN, BEFORE = 0.06, 0.15, 8


@dataclass(frozen=True)
class Sightings:
    """What is seen of each class in each frame, as shares of its pixels."""

    masks: Tensor
    """(T, classes)."""
    known: Tensor | None
    """(T, classes): what looks know of; None: they are not asked, and only specks are gone."""
    cuts: Collection[int] = ()
    """Frames after which the video is cut."""


def presence_key(config: PresenceConfig) -> str:
    """Returns the key of all that presence depends on, beside the evidence and what it comes from."""
    return digest("presence", VERSION, config)


def shares_of(probabilities: Tensor) -> Tensor:
    """Returns the share of the pixels that each class is the likeliest of, (classes,), from (classes, H, W); of 0 none is."""
    # By hand: in bytes a tenth of the time of a maximum with its place, and of counting through a mask.
    most, classes = probabilities[0], torch.zeros_like(probabilities[0])
    for number, plane in enumerate(probabilities[1:], 1):
        classes.masked_fill_(plane > most, number)
        most = torch.maximum(most, plane)
    counts = [torch.count_nonzero((classes == number) & (most > 0)) for number in range(len(probabilities))]
    return torch.stack(counts).cpu() / classes.numel()


def cuts_in(agreed: Mapping[int, Field]) -> set[int]:
    """Returns the frames after which a video is cut. agreed: how far frames agree with the next one (``Smoothing.agreed``)."""
    return {frame for frame, agreement in agreed.items() if float(agreement) < CUT}


def present(labelled: Sample, sightings: Sightings, config: PresenceConfig) -> Tensor:
    """Returns which classes are in which frame, (T, classes) bool. One that no labels show whole is everywhere."""
    areas, frames = labelled_areas(labelled), labelled.labelled_frames
    result = torch.ones(sightings.masks.shape, dtype=torch.bool)
    for number in {number for shown in areas.values() for number in shown}:
        course = _Course(sightings, config, number, least=min(shown[number] for shown in areas.values() if number in shown))
        for gap in gaps_between(frames, labelled.frames):
            known = [frames[row] for row in gap.rows]
            starts = [frame not in areas or number in areas[frame] for frame in known]
            ways = [course.followed(gap.frames_from(row), start) for row, start in zip(gap.rows, starts, strict=True)]
            result[gap.first : gap.stop, number] = torch.stack(ways).any(0)
    return result


def labelled_areas(labelled: Sample) -> dict[int, dict[int, float]]:
    """Returns the share of a frame that each object takes, frame -> number -> share, of frames that labels show whole."""
    areas = {}
    for frame, labels in zip(labelled.labelled_frames, labelled.labels, strict=True):
        if frame in labelled.whole_frames:
            counts = (labels.flatten().bincount(minlength=VOID + 1)[1:VOID] / labels.numel()).tolist()
            areas[frame] = {number: share for number, share in enumerate(counts, 1) if share}
    return areas


class _Course:
    """An object as it comes and goes."""

    def __init__(self, sightings: Sightings, config: PresenceConfig, number: int, *, least: float) -> None:
        self.config, self.cuts = config, sightings.cuts
        self.masks = (sightings.masks[:, number] / least).tolist()
        self.known = None if sightings.known is None else (sightings.known[:, number] / least).tolist()

    def followed(self, frames: range, there: bool) -> Tensor:
        """Returns whether it is there, in the order of time, (frames,) bool. there: whether it is in the frame before these."""
        found, recent = [], deque[float](maxlen=BEFORE)
        for frame in frames:
            if min(frame, frame - frames.step) in self.cuts:
                there = False
            there = self.masks[frame] >= self.config.speck and self._believed(frame, there, recent)
            found.append(there)
        return torch.tensor(found[:: frames.step])

    def _believed(self, frame: int, there: bool, recent: deque[float]) -> bool:
        """Whether looks find it or, where it was there, do not deny it. recent: what they knew in the frames before."""
        if self.known is None:
            return True
        known, most = self.known[frame], max(recent, default=0.0)
        recent.append(known)
        return known >= self.config.found or (there and known >= min(DENIED, FALLEN * most))
