"""Labels carried from the labelled frames to all others by dense optical flow, with how far they can be trusted.

The flow (``Flow``) leads from frame t to the labelled frame s on two ways:

    chain    x_s = position_{s+1 -> s}( ... position_{t -> t-1}(x_t))     drifts, but follows large motion
    direct   x_s = position_{t -> s}(x_t)                                 does not drift, but loses what has moved far

Positions are composed, and labels looked up once at the end, so that no small object is worn away by resampling. Where a way has
lost the objects altogether, the ground agrees all the better: what a way says therefore counts as far as the objects' own pixels
of frame s, carried to t and back, agree (``Flow.agreement``). The confidence of a pixel is

    w_way = agreement_t sqrt(mean of agreement_s over the objects),     w = mean of w_chain and w_direct

the mean weighed with carry.chain and carry.direct. A frame between two labelled ones hears both:

    probability_c = sum_s w_s p_s(c) / sum_s w_s,     confidence = max_s w_s
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from revseg.evidence.ahead import map_ahead
from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.config import CarryConfig
from revseg.evidence.fields import Field, Link, Pair, Way
from revseg.evidence.gaps import Gap
from revseg.evidence.sources import Labels
from revseg.runs.phases import phase

VERSION = 4
"""Version of what this file makes of the same flow, labels and settings."""


class Carrier:
    """Carries probabilities of classes, (classes, H, W) planes, from frame to frame."""

    def __init__(self, sources: Labels, *, config: CarryConfig, cache: EvidenceCache) -> None:
        self.sources, self.classes, self.flow, self.cache = sources, sources.classes, sources.flow, cache
        self.fields = self.flow.fields
        total = config.chain + config.direct
        self._chain_share, self._direct_share = config.chain / total, config.direct / total

    def key(self, gap: Gap) -> str:
        """Returns the key of a gap's evidence: of the labels at its ends, and all else that it depends on."""
        ends = [self.sources.content(row) for row in gap.rows]
        shares = self._chain_share, self._direct_share
        return digest("gap", VERSION, self.flow.agreement_key, self.classes, shares, gap.first, gap.stop, ends)

    def carried(self, gaps: Sequence[Gap]) -> Tensor:
        """Returns (classes + 1, T, H, W) uint8, where fields are: the sources have what they give, the others what is carried to
        them."""
        evidence = self.flow.planes(self.classes + 1)
        for row, frame in enumerate(self.sources.frames):
            evidence[:, frame] = self.summed([self.sources.planes(row)])
        missing = []
        for gap in gaps:
            kept = self.cache.get("gap", self.key(gap)) if self.cache.keeps else None
            if kept is None:
                missing.append(gap)
            else:
                evidence[:, gap.first : gap.stop] = torch.from_numpy(kept)
        if missing:
            self._fill(evidence, missing)
        return evidence

    def _fill(self, evidence: Tensor, gaps: Sequence[Gap]) -> None:
        """In place, the frames of the gaps."""
        if self.flow.fields.batch > 1 and self._direct_share:
            self.flow.keep(self._straight(gaps))
        # All gaps in one go: with each by itself, most of 16 cores would wait for its last frames.
        carried = map_ahead(
            self.flow.pool, lambda way: self.fields.half(self._sum(*way)), self._ways(gaps), ahead=self.flow.threads
        )
        with phase("carrying labels", total=sum(gap.stop - gap.first for gap in gaps)) as bar:
            for gap in gaps:
                # What has come from the first of two sides waits for the second.
                waiting = self.flow.planes(self.classes, gap.stop - gap.first, torch.float16) if len(gap.rows) == 2 else None
                for row in gap.rows:
                    for frame in gap.frames_from(row):
                        found = [next(carried)]
                        if waiting is not None:
                            place = waiting[:, frame - gap.first]
                            if row == gap.rows[0]:
                                place.copy_(self.fields.tensor(found[0]))
                                continue
                            found = [self.fields.field(place), *found]
                        evidence[:, frame] = self.summed(found)
                        bar.advance(1)
                if self.cache.keeps:
                    self.cache.put("gap", self.key(gap), evidence[:, gap.first : gap.stop].cpu().numpy())
        self.cache.finish()  # the evidence is weighed in place

    def back(self, evidence: Tensor, gaps: Sequence[Gap], shares: Sequence[float]) -> Iterator[tuple[int, int, Tensor]]:
        """Yields the row of a labelled frame, the number of a share, and the evidence (classes + 1, H, W) that comes back to it
        from frames a share of the way to the next labelled ones; nothing where none comes back."""
        ends = [(gap, row) for gap in gaps for row in gap.rows]
        virtual = [(row, index, gap.virtual(row, share)) for gap, row in ends for index, share in enumerate(shares)]
        giving = sorted(((row, index, frame) for row, index, frame in virtual if frame is not None), key=lambda way: way[:2])

        def given(way: tuple[int, int, int]) -> tuple[int, int, Field]:
            row, index, frame = way
            return row, index, self._back(evidence[:, frame], source=frame, frame=self.sources.frames[row])

        with phase("carrying labels back", total=len(giving)) as bar:
            found = map_ahead(self.flow.pool, given, giving, ahead=self.flow.threads)
            for (row, index), ways in groupby(found, key=lambda way: way[:2]):
                sums = [way[2] for way in ways]
                bar.advance(len(sums))
                yield row, index, self.summed(sums)

    def _straight(self, gaps: Sequence[Gap]) -> Iterator[Pair]:
        """Between the frames of gaps and the labelled ones at their ends, both ways."""
        for gap in gaps:
            for row in gap.rows:
                source = self.sources.frames[row]
                for frame in gap.frames_from(row):
                    yield from ((frame, source), (source, frame))

    def _ways(self, gaps: Sequence[Gap]) -> Iterator[tuple[Field, int, int, Field, Field]]:
        """What ``_sum`` takes, for each gap, labelled frame at its ends, and frame."""
        for gap in gaps:
            for row in gap.rows:
                source, planes = self.sources.frames[row], self.sources.planes(row)
                for way in self._chain(source, gap.frames_from(row)):
                    yield planes, source, *way

    def _back(self, known: Tensor, *, source: int, frame: int) -> Field:
        """Evidence of a frame, carried to another: w p of the classes."""
        scaled = self.fields.from_bytes(known)
        step = 1 if frame > source else -1
        *_, (_, position, way_back) = self._chain(source, range(source + step, frame + step, step))
        return self._sum(scaled[:-1] * scaled[-1], source, frame, position=position, way_back=way_back)

    def _chain(self, source: int, frames: range) -> Iterator[tuple[int, Field, Field]]:
        """Frame by frame: (frame, where its pixels are in the source, where the source's pixels are in it)."""
        position = way_back = self.fields.identity
        for frame in frames:
            before = frame - frames.step
            if self._chain_share:
                position = self.fields.composed(self.flow.way(frame, before), position)
                way_back = self.fields.composed(way_back, self.flow.way(before, frame))
            yield frame, position, way_back

    def _sum(self, planes: Field, source: int, frame: int, position: Field, way_back: Field) -> Field:
        """w p, the confidence w at most 1: both ways together."""
        objects = planes[1:].sum(0)
        extent = self.fields.extent(objects)
        objects = objects[extent]
        weight, links = objects.sum(), []
        for share, to, fro in self._both(source, frame, position, way_back=way_back):
            agreed = self.flow.agreement(source, frame, to=fro, fro=to, part=extent)
            # Without objects nothing can be lost: 1.
            kept = ((agreed * objects).sum() + (weight == 0)) / (weight + (weight == 0))
            links.append(Link(planes, to, (share * kept**0.5) * self.flow.agreement(frame, source, to=to, fro=fro)))
        return self.fields.gathered(None, links)

    def summed(self, sums: list[Field]) -> Tensor:
        """Returns, from w_s p_s of each source, (classes, H, W), probabilities and confidence, (classes + 1, H, W) uint8."""
        sums = [self.fields.single(part) for part in sums]
        parts = [part.sum(0) for part in sums]
        confidence = parts[0]
        for part in parts[1:]:
            confidence = confidence.clip(min=part)
        probabilities = sum(sums[1:], sums[0]) / sum(parts[1:], parts[0]).clip(min=1e-9)
        # Little, but more than nothing: where no source is to be trusted, the better one is still better than none.
        confidence = confidence.clip(min=1 / 255) * (confidence > 0)
        return torch.cat([self.fields.to_bytes(part) for part in (probabilities, confidence[None])])

    def _both(self, source: int, frame: int, position: Field, way_back: Field) -> Iterator[tuple[float, Way, Way]]:
        """Weight of each way that has one, where it leads to, and back."""
        if self._chain_share:
            yield self._chain_share, position, way_back
        if self._direct_share:
            to, fro = (self.flow.way(*pair, again=False) for pair in ((frame, source), (source, frame)))
            yield self._direct_share, to, fro
