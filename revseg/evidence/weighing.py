"""What is carried to a frame, weighed with how its pixels move, and with what they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from revseg.evidence.ahead import map_ahead
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.descriptors import descriptors
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.likelihood import MotionLikelihood
from revseg.evidence.looks import PIXELS, Examples, Looks, evenly
from revseg.evidence.motion import motion
from revseg.labels.sample import Sample


class ByMotion:
    """Weighs probabilities with how pixels move; where that is not enabled, they stay."""

    def __init__(self, labelled: Sample, classes: int, *, flow: Flow, config: EvidenceConfig, cache: EvidenceCache) -> None:
        self.flow = flow
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


class ByLooks:
    """Weighs probabilities with what pixels look like (``Looks``).

    planes: evidence of all frames, (classes + 1, T, H, W) uint8; smoothed: probabilities of every frame as they agree in time.
    """

    def __init__(
        self, labelled: Sample, planes: Tensor, smoothed: Iterable[Field], *, flow: Flow, config: EvidenceConfig
    ) -> None:
        self.labelled, self.flow, self.config = labelled, flow, config.looks
        self.power = config.looks.power / len(labelled.labelled_frames)
        self._classes = len(planes) - 1
        sure, of_labels = Examples(self.config), Examples(self.config)
        known = evenly(labelled.labelled_frames, self.config.frames)
        for frame in known:
            of_labels.draw(self.seen(frame), planes[:-1, frame].cpu(), PIXELS // len(known))
        chosen = evenly(others_of(labelled), self.config.frames)
        for frame, probabilities in enumerate(smoothed):
            if frame in chosen:
                sure.draw(self.seen(frame), flow.fields.tensor(probabilities).cpu(), PIXELS // len(chosen))
        self._sure = sure
        self.looks = self._learned([of_labels, sure])

    def of_sure_frames(self) -> Looks:
        """Returns what is learned of sure frames alone. Who has seen a labelled frame would know it better than any other."""
        return self._learned([self._sure])

    def seen(self, frame: int) -> Tensor:
        """Returns the descriptors of a frame."""
        return descriptors(self.labelled.volume[:, frame], self.config.height)

    def _learned(self, examples: Sequence[Examples]) -> Looks:
        values, classes = (torch.cat(parts) for parts in zip(*(one.of() for one in examples), strict=True))
        return Looks(values, classes, self._classes, config=self.config, device=self.flow.device)

    def weighed(self, probabilities: Tensor, seen: Tensor, looks: Looks | None = None) -> Tensor:
        """Returns the probabilities of a frame that is seen so, (classes, H, W) uint8. looks: another than ``looks``."""
        values = probabilities.to(self.flow.device).float() / 255
        return (255 * (looks or self.looks).weigh(values, seen, self.power)).round_().to(torch.uint8)


def others_of(labelled: Sample) -> list[int]:
    """Returns the frames that are not labelled."""
    return sorted(set(range(labelled.frames)).difference(labelled.labelled_frames))


def each(flow: Flow, of: Callable[[int], Tensor], frames: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    """Frames, and what is computed of each, several at a time."""
    yield from zip(frames, map_ahead(flow.pool, of, frames, ahead=flow.threads), strict=True)
