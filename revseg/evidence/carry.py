"""What the labels of some frames say of all frames of a video: carry, weigh, carry again, smooth.

    carry     labels along optical flow, with how far they can be trusted (``Carrier``)
    weigh     with how the pixels move by themselves (``motion``, ``MotionLikelihood``); anew where it turns out, once this is
              smoothed, that the camera seemed to move like an object; and with what they look like (``Looks``), learned from the
              labels, and from what is sure
    again     from frames of which the evidence is sure, if asked for, where a single frame is labelled (``PseudoLabels``)
    smooth    so that neighbouring frames agree (``Smoothing``), and objects that have gone are gone (``present``)

Each stage is kept by the content of what it comes from (``EvidenceCache``), so that a later run computes what has changed: with
one label more, the gaps beside it, and what is weighed and smoothed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from revseg import storage
from revseg.evidence.ahead import map_ahead
from revseg.evidence.by_looks import ByLooks, Told, draft_of
from revseg.evidence.by_motion import ByMotion
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.carrier import Carrier
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.draft import Draft
from revseg.evidence.evidence import Evidence
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.gaps import Gap, gaps_between
from revseg.evidence.looks import asks_looks, looks_key
from revseg.evidence.motion import motion, motion_key
from revseg.evidence.presence import Sightings, cuts_in, presence_key, present, shares_of
from revseg.evidence.pseudo_labels import PseudoLabels, asks_pseudo_labels, surest
from revseg.evidence.recognised import Recognised
from revseg.evidence.smoothing import Given, Smoothing, smoothing_key
from revseg.evidence.sources import Labels
from revseg.evidence.team import ALONE, Team
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.runs.phases import phase

VERSION = 4
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
    carrier = Carrier(Labels(labelled, classes, flow=flow), config=config.carry, cache=cache)
    key = _key(carrier, gaps, config) if cache.keeps else ""
    back_key = digest(key, tuple(shares)) if cache.keeps else ""
    back = cache.get("returned", back_key)
    all_key = digest(key, smoothing_key(flow, config.smoothing), presence_key(config.presence)) if cache.keeps else ""
    if back is not None and (kept := cache.get("evidence", all_key)) is not None:
        return _carried(torch.from_numpy(kept), torch.from_numpy(back))
    hops = {1, *(config.smoothing.hops if config.smoothing.sweeps else ())}
    if not team.alone:
        _find_share(carrier, gaps, hops, team=team)
        if team.index:
            team.wait()  # what the first one has found is in the cache
            return carry(labelled, classes, flow=flow, config=config, cache=cache, shares=shares)
    flow.keep_near(hops)
    planes, returned = _found(carrier, gaps, shares=shares if back is None else None, config=config)
    if returned is not None:
        back = returned.numpy()
        cache.put("returned", back_key, back)
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
    labelled, flow = carrier.sources.labelled, carrier.flow
    parts = [carrier.key(gap) for gap in gaps], labelled.labelled_frames, labelled.labels, flow.agreement_key, carrier.classes
    weighed = [config.likelihood, motion_key(flow, config.motion)] if config.likelihood.enabled else []
    looks = [looks_key(config.looks), smoothing_key(flow, config.smoothing), config.motion] if config.looks.power else []
    return digest("weighed", VERSION, parts, weighed, looks, config.pseudo_labels)


def _found(
    carrier: Carrier, gaps: Sequence[Gap], *, shares: Sequence[float] | None, config: EvidenceConfig
) -> tuple[Tensor, Tensor | None]:
    """Returns the evidence, and what comes back to labelled frames from these shares of the way; None: it is known."""
    labelled, flow = carrier.sources.labelled, carrier.flow
    others = labelled.unlabelled_frames

    def smoothed() -> Iterator[Field]:
        return _smoothed(planes, Smoothing(flow, config.smoothing, fixed=labelled.labelled_frames), recognised)

    def drafted() -> Draft:
        return draft_of(smoothed(), labelled, flow=flow, config=config.looks)

    by_looks = draft = recognised = None
    planes = carrier.carried(gaps)
    moved = motion(flow, config=config.motion, cache=carrier.cache) if config.likelihood.enabled else None
    by_motion = ByMotion(labelled, carrier.classes, flow=flow, config=config, moved=moved)
    returned = None if shares is None else _returned(carrier, planes, gaps, shares=shares, by_motion=by_motion)
    for frame, probabilities in flow.each(lambda frame: by_motion.weighed(planes[:, frame], frame), others):
        planes[:-1, frame] = probabilities
    if asks_looks(config.looks, labelled.labels):
        draft = drafted()
        if (following := by_motion.following(draft.ground)) is not None:
            _weigh_anew(planes, returned, others, by_motion=following, before=by_motion)
            by_motion, draft = following, drafted()
        with phase("looks", total=len(others)) as bar:
            by_looks = ByLooks(labelled, planes, draft, flow=flow, config=config)
            recognised = Recognised(flow.frames, carrier.classes, draft.size)
            weigh = partial(_weigh, planes, recognised, by_looks=by_looks)
            for _ in map_ahead(flow.pool, weigh, by_looks.told(others, planes[-1]), ahead=flow.threads):
                bar.advance(1)
        if returned is not None:
            _weigh_returned(returned, by_looks)
    if asks_pseudo_labels(config.pseudo_labels, labelled.labels):
        found = surest(smoothed(), others, config.pseudo_labels.frames, fields=flow.fields)
        # What they say can hardly be trusted further than what they heard.
        sure = {frame: flow.fields.from_bytes(planes[-1, frame]) ** 0.5 * probabilities for frame, probabilities in found.items()}
        again = Carrier(PseudoLabels(carrier.sources, sure), config=config.carry, cache=EvidenceCache(None))
        _hear(again, planes, by_motion=by_motion, by_looks=by_looks)
    by_looks = draft = None  # the pictures that it holds are not needed any more
    _agree(planes, recognised, labelled=labelled, flow=flow, config=config)
    return planes, None if returned is None else returned.planes


def _weigh(planes: Tensor, recognised: Recognised, told: Told, by_looks: ByLooks) -> None:
    """Weighs a frame in place with what looks say of it, and notes what they recognise."""
    planes[:-1, told.frame] = by_looks.weighed(planes[:, told.frame], told.said)
    recognised.put(told.frame, told.coarse, known=told.known, trust=by_looks.config.trust)


def _agree(planes: Tensor, recognised: Recognised | None, *, labelled: Sample, flow: Flow, config: EvidenceConfig) -> None:
    """Makes probabilities agree in time and objects gone that are, in place; the confidence stays."""
    smoothing = Smoothing(flow, config.smoothing, fixed=labelled.labelled_frames)
    masks = torch.zeros(flow.frames, len(planes) - 1)
    for frame, probabilities in enumerate(_smoothed(planes, smoothing, recognised)):
        found = planes[:-1, frame] = flow.fields.to_bytes(probabilities)
        masks[frame] = shares_of(found)
    known = None if recognised is None else recognised.known
    there = present(labelled, Sightings(masks, known, cuts_in(smoothing.agreed)), config.presence)
    for frame, number in (~there).nonzero().tolist():
        ground, gone = planes[0, frame], planes[number, frame]
        ground += gone.clamp(max=255 - ground)  # rounded parts may be more than the whole
        gone.zero_()


def _hear(again: Carrier, planes: Tensor, *, by_motion: ByMotion, by_looks: ByLooks | None) -> None:
    """Adds in place, to the evidence of frames without labels, what other sources say, each as far as it can be trusted, and as
    labels leave room for it."""
    fields, flow = again.fields, again.flow
    said = again.carried(gaps_between(again.sources.frames, flow.frames))

    def both(frame: int) -> Tensor:
        probabilities = by_motion.weighed(said[:, frame], frame)
        if by_looks is not None:
            heard = torch.cat([probabilities, said[-1:, frame]])
            probabilities = by_looks.weighed(heard, by_looks.ensemble.odds(by_looks.seen(frame)))
        own, other = (fields.from_bytes(confidence) for confidence in (planes[-1, frame], said[-1, frame]))
        parts = (planes[:-1, frame], own), (probabilities, other * (1 - own**0.5))
        return again.summed([fields.from_bytes(values) * weight for values, weight in parts])

    others = again.sources.labelled.unlabelled_frames
    with phase("looks", total=len(others)) as bar:
        for frame, evidence in flow.each(both, others):
            planes[:, frame] = evidence
            bar.advance(1)


def _weigh_anew(
    planes: Tensor, returned: _Returned | None, others: Sequence[int], *, by_motion: ByMotion, before: ByMotion
) -> None:
    """Weighs in place, with how pixels move, what another has weighed."""
    for frame, probabilities in by_motion.flow.each(
        lambda frame: by_motion.weighed_anew(planes[:-1, frame], frame, before), others
    ):
        planes[:-1, frame] = probabilities
    if returned is not None:
        for row, index in returned.given:
            weighed, frame = returned.planes[row, :-1, index], by_motion.labelled.labelled_frames[row]
            returned.planes[row, :-1, index] = by_motion.weighed_anew(weighed, frame, before)


@dataclass(frozen=True, eq=False)
class _Returned:
    """What comes back to the labelled frames."""

    planes: Tensor
    """(L, classes + 1, shares, H, W) uint8, on the CPU; where nothing comes back it is the labels."""
    given: tuple[tuple[int, int], ...]
    """Rows and numbers of shares where something does."""


def _returned(carrier: Carrier, planes: Tensor, gaps: Sequence[Gap], shares: Sequence[float], by_motion: ByMotion) -> _Returned:
    """planes: what is carried, not weighed."""
    labelled, given = carrier.sources.labelled, []
    frames = list(labelled.labelled_frames)
    returned = storage.empty(len(frames), len(planes), len(shares), *planes.shape[2:])
    for row, frame in zip(returned, frames, strict=True):
        row.copy_(planes[:, None, frame].expand_as(row))
    for row, index, evidence in carrier.back(planes, gaps, shares):
        returned[row, :, index] = evidence
        returned[row, :-1, index] = by_motion.weighed(evidence, frames[row])
        given.append((row, index))
    for row, labels in enumerate(labelled.labels):
        returned[row].masked_fill_(labels == VOID, 0)
    return _Returned(returned, tuple(given))


def _weigh_returned(returned: _Returned, by_looks: ByLooks) -> None:
    """In place, what comes back to labelled frames."""
    ensemble, frames = by_looks.of_sure_frames(), by_looks.labelled.labelled_frames
    shares: dict[int, list[int]] = {}
    for row, index in returned.given:
        shares.setdefault(row, []).append(index)
    for row, said in by_looks.flow.each(lambda row: ensemble.odds(by_looks.seen(frames[row])), list(shares)):
        for index in shares[row]:
            returned.planes[row, :-1, index] = by_looks.weighed(returned.planes[row, :, index], said)


def _smoothed(planes: Tensor, smoothing: Smoothing, recognised: Recognised | None) -> Iterator[Field]:
    """The probabilities of every frame as they agree with those around; those of labelled frames stay."""
    fields, frames = smoothing.flow.fields, smoothing.flow.frames

    def given(frame: int) -> Given:
        probabilities, confidence = planes[:-1, frame], planes[-1, frame]
        if recognised is not None:
            confidence = torch.maximum(confidence, recognised.trusted(frame, confidence))
        return Given(fields.from_bytes(probabilities), fields.from_bytes(confidence))

    with phase("smoothing evidence", total=frames) as bar:
        for smoothed in smoothing(map(given, range(frames))):
            yield smoothed
            bar.advance(1)
