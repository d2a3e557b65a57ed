"""What is carried to a frame, weighed with how its pixels move, and with what they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from revseg.evidence.ahead import map_ahead
from revseg.evidence.background import Background
from revseg.evidence.camera import Ground
from revseg.evidence.config import EvidenceConfig, LooksConfig
from revseg.evidence.descriptors import NUMBERS, descriptors, size_at
from revseg.evidence.draft import Draft
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.likelihood import MotionLikelihood
from revseg.evidence.looks import FADES, PIXELS, Examples, Looks, evenly, surely, together, weigh
from revseg.evidence.motion import of_frame, strays
from revseg.evidence.shadows import shadows
from revseg.labels.sample import Sample

Found = TypeVar("Found")


class ByMotion:
    """Weighs probabilities with how pixels move. moved: the motion of every frame, (H, W) uint8; none: they stay."""

    def __init__(
        self, labelled: Sample, classes: int, *, flow: Flow, config: EvidenceConfig, moved: Iterable[Tensor] | None
    ) -> None:
        self.labelled, self.classes, self.flow, self.config = labelled, classes, flow, config
        self._moved = None if moved is None else list(moved)
        if self._moved is not None:
            of_labelled = (self._moved[frame].cpu() for frame in labelled.labelled_frames)
            self._likelihood = MotionLikelihood(of_labelled, labelled.labels, classes, config=config.likelihood)

    def weighed(self, evidence: Tensor, frame: int) -> Tensor:
        """Returns the probabilities of a frame's evidence, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
        if self._moved is None:
            return evidence[:-1]
        fields = self.flow.fields
        return fields.to_bytes(self._likelihood.weigh(evidence, self._moved[frame], fields))

    def following(self, ground: Ground) -> ByMotion | None:
        """Returns it with the motion taken anew of frames whose camera turns out to be an object's; None: there are none."""
        if self._moved is None:
            return None
        flow, config, frames = self.flow, self.config, range(self.flow.frames)
        astray = [
            frame
            for frame, found in each(flow, lambda at: strays(flow, at, config=config.motion, ground=ground), frames)
            if found
        ]
        if not astray:
            return None
        moved = list(self._moved)
        for frame in astray:
            moved[frame] = of_frame(flow, frame, config.motion, ground=ground)
        return ByMotion(self.labelled, self.classes, flow=flow, config=config, moved=moved)

    def weighed_anew(self, weighed: Tensor, frame: int, before: ByMotion) -> Tensor:
        """Returns the probabilities of a frame, (classes, H, W) uint8, that another has weighed."""
        if self._moved is None or before._moved is None:
            return weighed
        told = {frame, *self.labelled.labelled_frames}  # of which the likelihood is learned
        if all(self._moved[at] is before._moved[at] for at in told):
            return weighed
        moved, had_moved, fields = self._moved[frame], before._moved[frame], self.flow.fields
        anew = self._likelihood.weigh_anew(weighed, moved, fields, before=before._likelihood, had_moved=had_moved)
        return fields.to_bytes(anew)


class ByLooks:
    """Weighs probabilities with what pixels look like (``Looks``), as two classifiers say to equal parts: one sees how a pixel
    differs from what is behind it, the other does not. Without ``background`` the latter is asked alone.

    planes: evidence of all frames, (classes + 1, T, H, W) uint8; draft: what it says once it agrees in time (``draft_of``).
    """

    def __init__(self, labelled: Sample, planes: Tensor, draft: Draft, *, flow: Flow, config: EvidenceConfig) -> None:
        self.labelled, self.flow, self.config = labelled, flow, config.looks
        self._fades = FADES * (1 - 1 / len(labelled.labelled_frames))
        self._classes, self._background = len(planes) - 1, None
        if config.looks.background:
            self._background = Background(
                labelled.volume, draft.ground, flow=flow, height=config.looks.height, config=config.motion
            )
        of_labels, self._sure = Examples(self.config), Examples(self.config)
        known = evenly(labelled.labelled_frames, self.config.frames)
        for frame in known:
            of_labels.draw(self.seen(frame), planes[:-1, frame].cpu(), PIXELS // len(known))
        self._of_labels = self._learned(of_labels)
        for frame, probabilities in draft.likely.items():
            seen = self.seen(frame)
            self._sure.draw(seen, self._without_shadows(probabilities, seen), PIXELS // len(draft.likely))
        self.looks = self._learned(of_labels, self._sure)

    def of_sure_frames(self) -> list[Looks]:
        """Returns what is learned of sure frames alone. Who has seen a labelled frame would know it better than any other."""
        return self._learned(self._sure)

    def seen(self, frame: int) -> Tensor:
        """Returns what is seen of a frame's pixels, (h, w, N)."""
        described = descriptors(self.labelled.volume[:, frame], self.config.height)
        if self._background is None:
            return described
        return torch.cat([described, self._background.differences(frame)], 2)

    def _without_shadows(self, probabilities: Tensor, seen: Tensor) -> Tensor:
        """Returns probabilities (classes, h, w) of a frame with ground where shadows are."""
        if self._background is None or (said := self._of_labels[-1].odds(seen)) is None:
            return probabilities
        ground = torch.zeros_like(probabilities)
        ground[0] = 1
        return torch.where(shadows(seen[..., NUMBERS:], said.cpu()), ground, probabilities)

    def _learned(self, *examples: Examples) -> list[Looks]:
        """Returns who sees descriptors alone, and, if there is more, who sees it all."""
        values, classes = together(examples)
        make = partial(Looks, classes=classes, count=self._classes, config=self.config, device=self.flow.device)
        return [make(values[:, :numbers]) for numbers in sorted({NUMBERS, values.shape[1]})]

    def said(self, seen: Tensor, looks: Sequence[Looks] | None = None) -> Tensor | None:
        """Returns what is said of a frame that is seen so, logarithms (classes, h, w); None: nothing.

        looks: others than ``looks``.
        """
        odds = [one.odds(seen[..., : one.numbers]) for one in (self.looks if looks is None else looks)]
        known = [one for one in odds if one is not None]
        return torch.stack(known).mean(0) if known else None

    def weighed(self, evidence: Tensor, said: Tensor | None) -> Tensor:
        """Returns the probabilities of a frame of which that is said, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
        if said is None:
            return evidence[:-1]
        weighed = weigh(evidence.to(self.flow.device).float() / 255, said, self.config.power, fades=self._fades)
        return weighed.mul_(255).round_().to(torch.uint8)

    def known(self, seen: Tensor, said: Tensor | None) -> Tensor:
        """Returns the share of a frame's pixels, (classes,), that are surely of each class, by what labels alone tell as well."""
        of_labels = self._of_labels[0].odds(seen[..., :NUMBERS])
        if said is None or of_labels is None:
            return torch.zeros(self._classes)
        return surely(said, of_labels)


def draft_of(smoothed: Iterable[Field], labelled: Sample, *, flow: Flow, config: LooksConfig) -> Draft:
    """Returns what looks learn of the frames without labels. smoothed: probabilities of every frame as they agree in time."""
    size = size_at(labelled.volume.shape[2:], config.height)
    return Draft(smoothed, evenly(others_of(labelled), config.frames), frames=flow.frames, size=size, fields=flow.fields)


def others_of(labelled: Sample) -> list[int]:
    """Returns the frames that are not labelled."""
    return sorted(set(range(labelled.frames)).difference(labelled.labelled_frames))


def each(flow: Flow, of: Callable[[int], Found], frames: Sequence[int]) -> Iterator[tuple[int, Found]]:
    """Frames, and what is computed of each, several at a time."""
    yield from zip(frames, map_ahead(flow.pool, of, frames, ahead=flow.threads), strict=True)
