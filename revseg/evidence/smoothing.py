"""Probabilities that agree with those of the frames before and after, along optical flow.

    p_t(x) <- normalised( prior c_t(x) e_t(x) + sum_n a_tn(x) p_n(x + flow_tn(x)) ),     n = t - 2, t - 1, t + 1, t + 2

(with hops 1 and 2). e_t: the probabilities that are given, c_t: the confidence in them, a_tn: how far the flow from t to n agrees
(``Flow.agreement``), both 0 to 1. This is diffusion along the trajectories of a video, in Gauss-Seidel sweeps forwards in time:
what one frame got wrong, its neighbours outvote, and what was covered for a while comes back from both sides. Frames whose truth
is known stay. Each linear look-up between pixels blurs: what is thin would be gone after a few, and is looked up cubically.

What is left of the objects, where anything is known, is the ground: it need not be looked up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from revseg.evidence.ahead import map_ahead
from revseg.evidence.cache import digest
from revseg.evidence.config import SmoothingConfig
from revseg.evidence.fields import Displacement, Field, Link, Places
from revseg.evidence.flow import Flow

VERSION = 5
"""Version of what this file makes of the same flow, settings and probabilities."""


@dataclass(frozen=True)
class Given:
    """What is said of a frame."""

    probabilities: Field
    """(C, H, W); where they sum to 0, nothing is known."""
    confidence: Field | float
    """In them, 0 to 1: of each pixel (H, W), or of all."""


class _Classes(NamedTuple):
    """Probabilities of a frame."""

    objects: Field
    """(C - 1, H, W): of all classes but the ground, which has the rest."""
    known: Field | None
    """(H, W): 1 where anything is known, else 0; None: everywhere."""


def smoothing_key(flow: Flow, config: SmoothingConfig) -> str:
    """Returns the key of all that smoothed probabilities depend on, beside what is given."""
    return digest("smoothing", VERSION, flow.agreement_key, config.sweeps, config.hops, config.prior)


class _Neighbour(NamedTuple):
    """From a frame to a neighbour."""

    agreement: Field
    displacement: Displacement | None
    """None: the flow has it on disk."""


class Smoothing:
    """Smooths a video's probabilities, frame by frame as they come. fixed: frames whose truth is known.

    Sweep s works on frame t one frame after sweep s - 1 has been at t + 2, the farthest neighbour. So all of them run in one pass
    over the video, each at the same time as the others, and each flow is computed once: it holds 3 sweeps + 3 frames (with hops 1
    and 2), with how far their flows agree, and the latter of a few frames ahead, however long the video is.
    """

    def __init__(self, flow: Flow, config: SmoothingConfig, *, fixed: Collection[int] = ()) -> None:
        self.flow, self.fixed = flow, frozenset(fixed)
        self.sweeps, self.hops, self.prior = config.sweeps, tuple(config.hops), config.prior
        self._own: dict[int, tuple[Field, Any]] = {}
        """What is given of a frame's objects, times its weight; and the weight, or None where it and the links' sum to 1."""
        self._current: dict[int, _Classes] = {}
        self._links: dict[tuple[int, int], _Neighbour] = {}
        self._thin: dict[int, Places | None] = {}
        self.agreed: dict[int, Field] = {}
        """How far frames agree with the next one, in the mean: those that it has looked at."""

    def __call__(self, given: Iterable[Given]) -> Iterator[Field]:
        """The smoothed probabilities, in the order of the frames."""
        reach, frames, arriving = max(self.hops), self.flow.frames, iter(given)
        lag = reach + 1
        # Of each frame they take about as long as three updates, and a tick has as many updates as there are sweeps.
        linked = map_ahead(self.flow.pool, self._links_after, range(frames), ahead=1 + self.flow.threads // (1 + self.sweeps))
        for tick in range(frames + lag * self.sweeps):
            if tick < frames:
                self._take(tick, next(arriving))
            places = [tick - lag * sweep for sweep in range(1, self.sweeps + 1)]
            if places and 0 <= places[0] < frames:
                self._links |= next(linked)
            turn = [frame for frame in places if 0 <= frame < frames and frame not in self.fixed]
            # No two of them are neighbours: none sees another's update.
            self._current |= zip(turn, self.flow.pool.map(self._updated, turn), strict=True)
            if (done := tick - lag * self.sweeps) >= 0:
                yield self._all_of(self._current[done])
                self._forget(done - reach)

    def _take(self, frame: int, given: Given) -> None:
        total = given.probabilities.sum(0)
        known = self._unless_all(total > 0)
        objects = given.probabilities[1:] / total.clip(min=1e-9)
        self._current[frame] = _Classes(objects, known)
        if frame not in self.fixed:
            weight = self.prior * given.confidence * (1 if known is None else known)
            self._own[frame] = weight * objects, weight

    def _unless_all(self, known: Field) -> Field | None:
        return None if known.all() else known * np.float32(1)

    def _all_of(self, classes: _Classes) -> Field:
        """The probabilities of all classes, (C, H, W)."""
        ground = ((1 if classes.known is None else classes.known) - classes.objects.sum(0)).clip(min=0)
        return self.flow.fields.joined([ground[None], classes.objects])

    def _links_after(self, frame: int) -> dict[tuple[int, int], _Neighbour]:
        """Between a frame and its neighbours after it, both ways."""
        links = {}
        for other in (frame + hop for hop in self.hops if frame + hop < self.flow.frames):
            there, back = self.flow.displacement(frame, other), self.flow.displacement(other, frame)
            to, fro = self.flow.fields.way(there), self.flow.fields.way(back)
            for here, away, displacement, ways in (frame, other, there, (to, fro)), (other, frame, back, (fro, to)):
                if here not in self.fixed:  # those take no notice of their neighbours
                    held = None if self.flow.keeps(here, away) else displacement
                    link = links[here, away] = _Neighbour(self.flow.agreement(here, away, to=ways[0], fro=ways[1]), held)
                    if other == frame + 1:
                        self.agreed[frame] = link.agreement.mean()
        return links

    def _updated(self, frame: int) -> _Classes:
        fields, (own, weight) = self.flow.fields, self._own[frame]
        if frame not in self._thin:  # in the first sweep
            self._thin[frame] = fields.thin(self._all_of(self._current[frame]))
        around = [other for hop in self.hops for other in (frame - hop, frame + hop) if 0 <= other < self.flow.frames]
        if not around:
            return self._current[frame]
        known_there = [self._current[n].known for n in (frame, *around)]
        if weight is not None and all(known is None for known in known_there):
            own, weight = self._settled(frame, around)
        links = []
        for n, known in zip(around, known_there[1:], strict=True):
            share, held = self._links[frame, n]
            way = fields.way(self.flow.displacement(frame, n) if held is None else held)
            if known is not None:
                share = share * fields.look_up(known[None], way)[0]
            links.append(Link(self._current[n].objects, way, share))
            if weight is not None:
                weight = weight + share
        total, known = fields.gathered(own, links, self._thin[frame]), None
        if weight is not None:
            total *= 1 / weight.clip(min=1e-9)
            known = self._unless_all(weight > 0)
        if len(total) > 1:  # cubic look-ups may find a little more of several objects than there is in all
            total *= 1 / total.sum(0).clip(min=1)
        return _Classes(total, known)

    def _settled(self, frame: int, around: Sequence[int]) -> tuple[Field, Any]:
        """Lets the weights of a frame and of those around sum to 1, for all sweeps: all is known of them, and stays known."""
        own, weight = self._own[frame]
        scale = 1 / (weight + sum(self._links[frame, n].agreement for n in around)).clip(min=1e-9)
        for n in around:
            link = self._links[frame, n]
            self._links[frame, n] = link._replace(agreement=link.agreement * scale)
        self._own[frame] = own * scale, None
        return self._own[frame]

    def _forget(self, frame: int) -> None:
        """A frame that no update needs any more."""
        self._current.pop(frame, None)
        self._own.pop(frame, None)
        self._thin.pop(frame, None)
        for pair in [pair for pair in self._links if frame in pair]:
            del self._links[pair]
