"""Labels carried from the labelled frames to all others by dense optical flow, with how far they can be trusted.

The flow (``Flow``) leads from frame t to the labelled frame s on two ways:

    chain    x_s = position_{s+1 -> s}( ... position_{t -> t-1}(x_t))     drifts, but follows large motion
    direct   x_s = position_{t -> s}(x_t)                                 does not drift, but loses what has moved far

Positions are composed, and labels looked up once at the end, so that no small object is worn away by resampling. Where a way has
lost the objects altogether, the ground agrees all the better: what a way says therefore counts as far as the objects' own pixels
of frame s, carried to t and back, agree (``Flow.agreement``). The confidence of a pixel is

    w_way = agreement_t sqrt(mean of agreement_s over the objects),     w = (w_chain + w_direct) / 2

What all of them say of a frame is weighed with how its pixels move (``MotionLikelihood``), and then made to agree with what is
said of the frames around it (``Smoothing``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.ahead import map_ahead
from revseg.evidence.evidence import from_bytes, to_bytes
from revseg.evidence.flow import Field, Flow, look_up, look_up_planes
from revseg.evidence.likelihood import MotionLikelihood
from revseg.evidence.motion import Motion, motion
from revseg.evidence.smoothing import Given, Smoothing
from revseg.labels.sample import VOID, Sample


@dataclass(frozen=True)
class Known:
    """What labels that were carried along say of a video (``propagate``), each probability and confidence times 255."""

    evidence: Tensor
    """(classes + 1, T, H, W) uint8: of every pixel the probability of each class, and the confidence in them; all 0 where nothing
    is known."""
    returned: Tensor
    """(L, shares, classes + 1, H, W) uint8: the same of the labelled frames, had they no labels themselves: what comes back to
    them from frames a share of the way to the next labelled frame off, where truth is not known."""


def propagate(labelled: Sample, classes: int, shares: Sequence[float] = (), flow: Flow | None = None) -> Known:
    """Carry the labels of every labelled frame up to the next labelled one on either side. flow: of the same video.

        probability_c = sum_s w_s p_s(c) / sum_s w_s,     confidence = max_s w_s

    over both ways from the nearest labelled frame before and the nearest after.
    """
    flow, frames = flow or Flow(labelled.volume), labelled.labelled_frames
    evidence = torch.zeros(classes + 1, *labelled.volume.shape[1:], dtype=torch.uint8)
    back: list[list[list[NDArray]]] = [[[] for _ in shares] for _ in frames]
    flow.keep_near()
    carrier = _Carrier(labelled, classes, flow)
    for row, frame in enumerate(frames):
        evidence[:, frame] = _evidence([carrier.planes(row)])
    gaps = _gaps(labelled)
    carrier.fill(evidence, gaps)
    for row, index, found in carrier.back(evidence, gaps, shares):
        back[row][index].append(found)
    moved = motion(flow)
    likelihood = MotionLikelihood(moved[list(frames)], labelled.labels, classes)
    others = sorted(set(range(labelled.frames)).difference(frames))
    weighed = map_ahead(flow.pool, lambda t: _weighed(evidence[:, t], moved[t], likelihood), others, flow.threads)
    for frame, probabilities in zip(others, weighed, strict=True):
        evidence[:-1, frame] = probabilities
    _smooth(evidence, flow, frames)
    returned = evidence.new_zeros(len(frames), len(shares), classes + 1, labelled.height, labelled.width)
    for row, frame in enumerate(frames):
        for index, sums_of_both in enumerate(back[row]):
            if sums_of_both:
                returned[row, index] = _evidence(sums_of_both)
                returned[row, index, :-1] = _weighed(returned[row, index], moved[frame], likelihood)
            else:
                returned[row, index] = evidence[:, frame]
        returned[row].masked_fill_(labelled.labels[row] == VOID, 0)
    return Known(evidence, returned)


def _weighed(evidence: Tensor, moved: Motion, likelihood: MotionLikelihood) -> Tensor:
    """The probabilities of a frame's evidence, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
    known = from_bytes(evidence)
    return to_bytes(likelihood.weigh(known[:-1], known[-1], moved))


def _smooth(evidence: Tensor, flow: Flow, labelled_frames: Sequence[int]) -> None:
    """In place, the probabilities of the frames that are not labelled; confidence stays what the way there and back gives."""
    given = (Given(part[:-1], part[-1]) for part in map(from_bytes, evidence.unbind(1)))
    for frame, smoothed in enumerate(Smoothing(flow, labelled_frames)(given)):
        evidence[:-1, frame] = to_bytes(smoothed)


@dataclass(frozen=True)
class _Gap:
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


def _gaps(labelled: Sample) -> list[_Gap]:
    ends = [-1, *labelled.labelled_frames, labelled.frames]
    only = len(labelled.labelled_frames) == 1
    gaps = [
        _Gap(first + 1, stop, number - 1 if number else None, number if number < len(ends) - 2 else None, only)
        for number, (first, stop) in enumerate(pairwise(ends))
    ]
    return [gap for gap in gaps if gap.first < gap.stop]


class _Carrier:
    """Carries probabilities of classes, (classes, H, W) planes, from frame to frame."""

    def __init__(self, labelled: Sample, classes: int, flow: Flow) -> None:
        self.labelled, self.classes, self.flow = labelled, classes, flow

    def planes(self, row: int) -> Field:
        """Of a labelled frame; where the label is void, all are 0."""
        labels = self.labelled.labels[row].numpy()
        return (labels == np.arange(self.classes)[:, None, None]).astype(np.float32)

    def fill(self, evidence: Tensor, gaps: Sequence[_Gap]) -> None:
        """In place, the frames of the gaps."""
        # All gaps in one go: with each by itself, most of 16 cores would wait for its last frames.
        carried = map_ahead(self.flow.pool, lambda way: self._sum(*way).astype(np.float16), self._ways(gaps), self.flow.threads)
        for gap in gaps:
            sides = [{frame: next(carried) for frame in gap.frames_from(row)} for row in gap.rows]
            for frame in range(gap.first, gap.stop):
                evidence[:, frame] = _evidence([side.pop(frame) for side in sides])

    def back(self, evidence: Tensor, gaps: Sequence[_Gap], shares: Sequence[float]) -> Iterator[tuple[int, int, NDArray]]:
        """Row of a labelled frame at an end, number of a share, what comes back to it: w p of the classes."""
        ends = [(gap, row) for gap in gaps for row in gap.rows]
        virtual = [(row, index, gap.virtual(row, share)) for gap, row in ends for index, share in enumerate(shares)]
        giving = [(row, index, frame) for row, index, frame in virtual if frame is not None]

        def given(way: tuple[int, int, int]) -> tuple[int, int, NDArray]:
            row, index, frame = way
            return row, index, self._back(evidence[:, frame], frame, self.labelled.labelled_frames[row])

        return self.flow.pool.map(given, giving)

    def _ways(self, gaps: Sequence[_Gap]) -> Iterator[tuple[Field, int, int, Field, Field]]:
        """What ``_sum`` takes, for each gap, labelled frame at its ends, and frame."""
        for gap in gaps:
            for row in gap.rows:
                source, planes = self.labelled.labelled_frames[row], self.planes(row)
                for way in self._chain(source, gap.frames_from(row)):
                    yield planes, source, *way

    def _back(self, known: Tensor, source: int, frame: int) -> Field:
        """Evidence of a frame, carried to another: w p of the classes."""
        scaled = from_bytes(known)
        step = 1 if frame > source else -1
        *_, (_, position, way_back) = self._chain(source, range(source + step, frame + step, step))
        return self._sum(scaled[:-1] * scaled[-1], source, frame, position, way_back)

    def _chain(self, source: int, frames: range) -> Iterator[tuple[int, Field, Field]]:
        """Frame by frame: (frame, where its pixels are in the source, where the source's pixels are in it)."""
        position = way_back = self.flow.identity
        for frame in frames:
            before = frame - frames.step
            position = look_up(position, self.flow.position(frame, before), cv2.INTER_LINEAR)
            way_back = look_up(self.flow.position(before, frame), way_back, cv2.INTER_LINEAR)
            yield frame, position, way_back

    def _sum(self, planes: Field, source: int, frame: int, position: Field, way_back: Field) -> Field:
        """w p, the confidence w at most 1: both ways together."""
        ways = (position, way_back), (self.flow.position(frame, source), self.flow.position(source, frame))
        objects = planes[1:].sum(0)
        total = np.zeros_like(planes)
        for to, fro in ways:
            kept = _mean(self.flow.agreement(source, frame, fro, to), objects) if objects.any() else 1.0
            total += np.sqrt(kept) / len(ways) * self.flow.agreement(frame, source, to, fro) * look_up_planes(planes, to)
        return total


def _mean(values: NDArray, weights: NDArray) -> float:
    return float((values * weights).sum() / weights.sum())


def _evidence(sums: list[NDArray]) -> Tensor:
    """From w_s p_s of each source, (classes, H, W), to probabilities and confidence, (classes + 1, H, W) uint8."""
    total = np.sum(sums, 0, dtype=np.float32)
    probability = total / np.maximum(total.sum(0), 1e-9)
    confidence = np.max([part.sum(0, dtype=np.float32) for part in sums], 0)
    # Little, but more than nothing: where no source is to be trusted, the better one is still better than none.
    confidence = np.where(confidence > 0, np.maximum(confidence, 1 / 255), 0)
    return to_bytes(np.concatenate([probability, confidence[None]]))
