"""What the labels of some frames say of all frames of a video: carry, weigh, smooth.

    carry     labels along optical flow, with how far they can be trusted (``Carrier``)
    weigh     with how the pixels move by themselves (``motion``, ``MotionLikelihood``), and with what they look like (``Looks``),
              learned from the labels, and from what is sure once it is smoothed
    smooth    so that neighbouring frames agree (``Smoothing``)

Each stage is kept by the content of what it comes from (``EvidenceCache``), so that a later run computes what has changed: with
one label more, the gaps beside it, and what is weighed and smoothed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from revseg import storage
from revseg.evidence.ahead import map_ahead
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.carrier import Carrier
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.descriptors import descriptors
from revseg.evidence.evidence import Evidence
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.gaps import Gap, gaps_between
from revseg.evidence.likelihood import MotionLikelihood
from revseg.evidence.looks import PIXELS, Examples, Looks, asks_looks, evenly, looks_key
from revseg.evidence.motion import motion, motion_key
from revseg.evidence.smoothing import Given, Smoothing, smoothing_key
from revseg.evidence.team import ALONE, Team
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.runs.phases import phase

VERSION = 2
"""Version of what this file and likelihood.py make of the same carried labels, motion and settings."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What labels that were carried along say of a video."""

    evidence: Evidence
    returned: tuple[Evidence, ...]
    """For each labelled frame, had it no labels itself, a frame for each of the shares: what comes back to it from frames that
    share of the way to the next labelled frame off, where truth is not known."""


def carry(
    labelled: Sample,
    classes: int,
    *,
    flow: Flow,
    config: EvidenceConfig,
    cache: EvidenceCache,
    shares: Sequence[float] = (),
    team: Team = ALONE,
) -> Carried:
    """Returns what the labels say of all frames, carried up to the next labelled frame on either side.

    flow: of the same video. shares: of the way to the next labelled frame, for what is ``returned``. The cache may still be
    writing when it is done (``EvidenceCache.finish``): nobody may change the tensors in place. team: processes that call it
    together, with a cache in the same folder; each finds flow and what is carried for its share, the first one the rest.
    """
    gaps = gaps_between(labelled.labelled_frames, labelled.frames)
    carrier = Carrier(labelled, classes, flow=flow, config=config.carry, cache=cache)
    key = _key(carrier, gaps, config) if cache.keeps else ""
    back_key = digest(key, tuple(shares)) if cache.keeps else ""
    back = cache.get("returned", back_key)
    all_key = digest(key, smoothing_key(flow, config.smoothing)) if cache.keeps else ""
    if back is not None and (kept := cache.get("evidence", all_key)) is not None:
        return _carried(torch.from_numpy(kept), torch.from_numpy(back))
    hops = {1, *(config.smoothing.hops if config.smoothing.sweeps else ())}
    if not team.alone:
        _find_share(carrier, gaps, hops, team=team)
        if team.index:
            team.wait()  # what the first one has found is in the cache
            return carry(labelled, classes, flow=flow, config=config, cache=cache, shares=shares)
    flow.keep_near(hops)
    planes = carrier.carried(gaps)
    weighing = _Weighing(labelled, classes, flow=flow, config=config, cache=cache)
    returned = _returned(carrier, planes, gaps, shares=shares, weighing=weighing) if back is None else None
    weighing.weigh_all(planes)
    if asks_looks(config.looks, labelled.labels):
        seeing = _Seeing(labelled, planes, flow=flow, config=config)
        seeing.weigh_all(planes)
        if returned is not None:
            seeing.weigh_returned(returned)
    if returned is not None:
        back = returned.planes.numpy()
        cache.put("returned", back_key, back)
    _smooth(planes, flow, config, labelled_frames=labelled.labelled_frames)
    planes = planes.cpu()
    cache.put("evidence", all_key, planes.numpy())
    if not team.alone:
        cache.finish()
        team.wait()
    return _carried(planes, torch.from_numpy(back))


def _find_share(carrier: Carrier, gaps: Sequence[Gap], hops: Collection[int], *, team: Team) -> None:
    """Leaves the flow of this process's frames in the store, and what is carried into its gaps in the cache."""
    flow, own = carrier.flow, team.share(carrier.flow.frames)
    flow.keep_near(hops, own)
    team.wait()
    flow.read_others()
    if mine := [gap for gap in gaps if (gap.first + gap.stop) // 2 in own]:
        carrier.carried(mine)
        carrier.cache.finish()
    team.wait()


def _carried(planes: Tensor, returned: Tensor) -> Carried:
    """returned: (L, classes + 1, shares, H, W)."""
    return Carried(Evidence.from_planes(planes), tuple(map(Evidence.from_planes, returned)))


def _key(carrier: Carrier, gaps: Sequence[Gap], config: EvidenceConfig) -> str:
    """Key of the weighed evidence."""
    labelled, flow = carrier.labelled, carrier.flow
    parts = [carrier.key(gap) for gap in gaps], labelled.labelled_frames, labelled.labels, flow.agreement_key, carrier.classes
    weighed = [config.likelihood, motion_key(flow, config.motion)] if config.likelihood.enabled else []
    looks = [looks_key(config.looks), smoothing_key(flow, config.smoothing)] if config.looks.power else []
    return digest("weighed", VERSION, parts, weighed, looks)


class _Weighing:
    """Weighs probabilities with how pixels move; where that is not enabled, they stay."""

    def __init__(self, labelled: Sample, classes: int, *, flow: Flow, config: EvidenceConfig, cache: EvidenceCache) -> None:
        self.flow, self.labelled_frames = flow, labelled.labelled_frames
        self._moved: Tensor | None = None
        if config.likelihood.enabled:
            self._moved = motion(flow, config=config.motion, cache=cache)
            of_labelled = (self._moved[frame].cpu() for frame in labelled.labelled_frames)
            self._likelihood = MotionLikelihood(of_labelled, labelled.labels, classes, config=config.likelihood)

    def weighed(self, evidence: Tensor, frame: int) -> Tensor:
        """Returns the probabilities of a frame's evidence, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
        if self._moved is None:
            return evidence[:-1]
        fields = self.flow.fields
        return fields.to_bytes(self._likelihood.weigh(evidence, self._moved[frame], fields))

    def weigh_all(self, planes: Tensor) -> None:
        """In place, all frames that are not labelled."""
        others = sorted(set(range(planes.shape[1])).difference(self.labelled_frames))
        weighed = map_ahead(self.flow.pool, lambda t: self.weighed(planes[:, t], t), others, ahead=self.flow.threads)
        for frame, probabilities in zip(others, weighed, strict=True):
            planes[:-1, frame] = probabilities


@dataclass(frozen=True, eq=False)
class _Returned:
    """What comes back to the labelled frames."""

    planes: Tensor
    """(L, classes + 1, shares, H, W) uint8, on the CPU; where nothing comes back it is the labels."""
    given: tuple[tuple[int, int], ...]
    """Rows and numbers of shares where something does."""


def _returned(carrier: Carrier, planes: Tensor, gaps: Sequence[Gap], shares: Sequence[float], weighing: _Weighing) -> _Returned:
    """planes: what is carried, not weighed."""
    labelled, given = carrier.labelled, []
    frames = list(labelled.labelled_frames)
    returned = storage.empty(len(frames), len(planes), len(shares), *planes.shape[2:])
    for row, frame in zip(returned, frames, strict=True):
        row.copy_(planes[:, None, frame].expand_as(row))
    for row, index, evidence in carrier.back(planes, gaps, shares):
        returned[row, :, index] = evidence
        returned[row, :-1, index] = weighing.weighed(evidence, frames[row])
        given.append((row, index))
    for row, labels in enumerate(labelled.labels):
        returned[row].masked_fill_(labels == VOID, 0)
    return _Returned(returned, tuple(given))


class _Seeing:
    """Weighs probabilities with looks (``Looks``). planes: those of all frames, as motion has weighed them."""

    def __init__(self, labelled: Sample, planes: Tensor, *, flow: Flow, config: EvidenceConfig) -> None:
        self.labelled, self.flow, self.config = labelled, flow, config.looks
        self.power = config.looks.power / len(labelled.labelled_frames)
        self.others = sorted(set(range(flow.frames)).difference(labelled.labelled_frames))
        self._classes = len(planes) - 1
        self._sure = Examples(self.config)
        self._of_labels = Examples(self.config)
        known = evenly(labelled.labelled_frames, self.config.frames)
        for frame in known:
            self._of_labels.draw(self._seen(frame), planes[:-1, frame].cpu(), PIXELS // len(known))
        chosen = evenly(self.others, self.config.frames)
        for frame, smoothed in enumerate(_smoothed(planes, flow, config, labelled_frames=labelled.labelled_frames)):
            if frame in chosen:
                self._sure.draw(self._seen(frame), flow.fields.tensor(smoothed).cpu(), PIXELS // len(chosen))

    def weigh_all(self, planes: Tensor) -> None:
        """In place, all frames that are not labelled."""
        looks = self._looks([self._of_labels, self._sure])
        seen = map_ahead(self.flow.pool, self._seen, self.others, ahead=self.flow.threads)
        with phase("looks", total=len(self.others)) as bar:
            for frame, found in zip(self.others, seen, strict=True):
                planes[:-1, frame] = self._weighed(looks, planes[:-1, frame], found)
                bar.advance(1)

    def weigh_returned(self, returned: _Returned) -> None:
        """In place, what comes back to labelled frames. Who has seen their labels would know better than of any other frame."""
        looks = self._looks([self._sure])
        for row, index in returned.given:
            seen = self._seen(self.labelled.labelled_frames[row])
            returned.planes[row, :-1, index] = self._weighed(looks, returned.planes[row, :-1, index], seen)

    def _seen(self, frame: int) -> Tensor:
        return descriptors(self.labelled.volume[:, frame], self.config.height)

    def _looks(self, examples: Sequence[Examples]) -> Looks:
        values, classes = (torch.cat(parts) for parts in zip(*(one.of() for one in examples), strict=True))
        return Looks(values, classes, self._classes, config=self.config, device=self.flow.device)

    def _weighed(self, looks: Looks, probabilities: Tensor, seen: Tensor) -> Tensor:
        weighed = looks.weigh(probabilities.to(self.flow.device).float() / 255, seen, self.power)
        return (255 * weighed).round_().to(torch.uint8)


def _smoothed(planes: Tensor, flow: Flow, config: EvidenceConfig, labelled_frames: Sequence[int]) -> Iterator[Field]:
    """The probabilities of every frame as they agree with those around; those of labelled frames stay."""
    parts = (flow.fields.from_bytes(planes[:, frame]) for frame in range(flow.frames))
    given = (Given(part[:-1], part[-1]) for part in parts)
    with phase("smoothing evidence", total=flow.frames) as bar:
        for smoothed in Smoothing(flow, config.smoothing, fixed=labelled_frames)(given):
            yield smoothed
            bar.advance(1)


def _smooth(planes: Tensor, flow: Flow, config: EvidenceConfig, labelled_frames: Sequence[int]) -> None:
    """In place, the probabilities of the frames that are not labelled; confidence stays what the way there and back gives."""
    for frame, smoothed in enumerate(_smoothed(planes, flow, config, labelled_frames=labelled_frames)):
        planes[:-1, frame] = flow.fields.to_bytes(smoothed)
