"""What is carried to a frame, weighed with what its pixels look like, in the large and near contours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from revseg.evidence.ahead import map_ahead
from revseg.evidence.background import PICTURES, Scene
from revseg.evidence.config import EvidenceConfig, LooksConfig
from revseg.evidence.descriptors import NUMBERS, Pixels, size_at
from revseg.evidence.draft import Draft
from revseg.evidence.ensemble import Ensemble
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.looks import FADES, HEARD, PIXELS, Examples, evenly, sure_objects, surely, weigh, weight_of
from revseg.evidence.shadows import shadows
from revseg.evidence.sight import Sight, near_contours
from revseg.labels.sample import Sample


class Told(NamedTuple):
    """What looks say of a frame."""

    frame: int
    said: Tensor | None
    """Logarithms (classes, h, w), as weighing needs them: finer near contours; None: nothing."""
    coarse: Tensor | None
    """The same at the size of the draft, from what is seen in the large alone."""
    differs: Tensor
    """How its pixels differ from what is behind them, (h, w, n)."""
    known: Tensor
    """The share of its pixels, (classes,), that are surely of each object, by what labels alone tell as well."""


class ByLooks:
    """Weighs probabilities with what pixels look like, as an ``Ensemble`` says. Near the contours of what it says another one is
    asked instead, which sees more lines: the same looks in finer surroundings. What is behind pixels is seen in the large alone.

    planes: evidence of all frames, (classes + 1, T, H, W) uint8; draft: what it says once it agrees in time (``draft_of``).
    """

    def __init__(self, labelled: Sample, planes: Tensor, draft: Draft, *, flow: Flow, config: EvidenceConfig) -> None:
        self.labelled, self.flow, self.config = labelled, flow, config.looks
        self._fades, self._classes = FADES * (1 - 1 / len(labelled.labelled_frames)), len(planes) - 1
        volume, looks = labelled.volume, config.looks
        scene = Scene.of(flow, draft.ground, config.motion) if looks.background else None
        self._sight = Sight(volume, looks.height, scene=scene, held=PICTURES)
        self._finer_sight = Sight(volume, looks.contour_height) if looks.sees_contours_anew(volume.shape[2]) else None
        labels = {frame: planes[:-1, frame].cpu() for frame in evenly(labelled.labelled_frames, looks.frames)}
        of_labels, self._sure, finer = Examples(), Examples(), Examples()
        for frame, known in labels.items():
            self._draw(frame, self.seen(frame), known, into=(of_labels, finer), count=PIXELS // len(labels), sure=0)
        self._by_labels = self._learned(of_labels)
        for frame, found in draft.likely.items():
            seen = self.seen(frame)
            likely = self._without_shadows(found, seen)
            self._draw(frame, seen, likely, into=(self._sure, finer), count=PIXELS // len(draft.likely), sure=looks.sure)
        self.ensemble = self._learned(of_labels, self._sure)
        if self._finer_sight is not None:
            self._finer = self._learned(finer)

    def of_sure_frames(self) -> Ensemble:
        """Returns what is learned of sure frames alone. Who has seen a labelled frame would know it better than any other."""
        return self._learned(self._sure)

    def seen(self, frame: int) -> Tensor:
        """Returns what is seen of a frame's pixels in the large, (h, w, N)."""
        return self._sight.seen(frame)

    def _draw(
        self, frame: int, seen: Tensor, likely: Tensor, *, into: tuple[Examples, Examples], count: int, sure: float
    ) -> None:
        """Draws pixels of a frame that is seen so in the large, and others as they are finely seen."""
        examples, finer = into
        examples.draw(seen, likely, count, sure=sure)
        if self._finer_sight is not None:
            finely = self._finer_sight.seen(frame)
            differs = _enlarged(seen[..., NUMBERS:], finely.shape[:2])
            finer.draw(torch.cat([finely, differs], -1), likely, count, sure=sure)

    def _without_shadows(self, probabilities: Tensor, seen: Tensor) -> Tensor:
        """Returns probabilities (classes, H, W) uint8 of a frame that is seen so, with ground where shadows are."""
        if not self.config.background or (said := self._by_labels.members[-1].odds(seen)) is None:
            return probabilities
        ground = torch.zeros_like(probabilities)
        ground[0] = 255
        found = shadows(seen[..., NUMBERS:], said.cpu())[None, None].float()
        return torch.where(F.interpolate(found, probabilities.shape[1:])[0, 0] > 0, ground, probabilities)

    def _learned(self, *examples: Examples) -> Ensemble:
        return Ensemble(*examples, classes=self._classes, config=self.config, device=self.flow.device)

    def told(self, frames: Sequence[int], confidence: Tensor) -> Iterator[Told]:
        """Yields what is said of frames, a few of them in the making. confidence: in the evidence, (T, H, W) uint8."""
        coarse = (self._coarsely(frame, seen) for frame, seen in self.flow.each(self.seen, frames))
        if self._finer_sight is None:
            yield from coarse
            return
        finely = partial(self._finely_seen, confidence=confidence)
        for told, near, seen in map_ahead(self.flow.pool, finely, coarse, ahead=self.flow.threads):
            yield told._replace(said=self._sharpened(told.coarse, near, seen))

    def _coarsely(self, frame: int, seen: Tensor) -> Told:
        said, known = self.ensemble.odds(seen), torch.zeros(self._classes)
        if said is not None:
            sure = sure_objects(said)
            by_labels = self._by_labels.members[0].odds(seen[sure.cpu()][:, :NUMBERS])
            if by_labels is not None:
                known = surely(said[:, sure], by_labels) / sure.numel()
        return Told(frame, said, coarse=said, differs=seen[..., NUMBERS:].clone(), known=known)

    def _finely_seen(self, told: Told, confidence: Tensor) -> tuple[Told, Pixels, Tensor]:
        """Returns the same, the pixels near contours where looks are heard, and what is finely seen of these."""
        sight = self._finer_sight
        assert sight is not None
        near = np.zeros(sight.size, bool)
        if told.coarse is not None:
            counts = weight_of(confidence[None, told.frame].float() / 255, self._fades)
            heard = _larger(counts, sight.size)[0] > HEARD
            classes = _larger(told.coarse, sight.size).max(0).indices.to(torch.uint8)  # argmax takes ten times as long
            near = near_contours(classes.cpu().numpy()) & heard.cpu().numpy()
        differs = _enlarged(told.differs, sight.size)[torch.from_numpy(near)]
        return told, near, torch.cat([sight.some(told.frame, near), differs], -1)

    def _sharpened(self, said: Tensor | None, near: Pixels, seen: Tensor) -> Tensor | None:
        """Returns what is said, (classes, H, W), by who sees finely near contours."""
        if said is None or not near.any() or (finely := self._finer.odds(seen)) is None:
            return said
        larger = _larger(said, near.shape)
        larger[:, torch.from_numpy(near)] = finely
        return larger

    def weighed(self, evidence: Tensor, said: Tensor | None) -> Tensor:
        """Returns the probabilities of a frame of which that is said, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
        if said is None:
            return evidence[:-1]
        weighed = weigh(evidence.to(self.flow.device).float() / 255, said, self.config.power, fades=self._fades)
        return weighed.mul_(255).round_().to(torch.uint8)


def _larger(said: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(said[None], tuple(size), mode="bilinear", align_corners=False)[0]


def _enlarged(numbers: Tensor, size: Sequence[int]) -> Tensor:
    """Returns numbers of each pixel, (h, w, n) on the CPU, at another size. OpenCV takes an eighth of PyTorch's time."""
    if not numbers.shape[2]:
        return numbers.new_empty(*size, 0)
    found = cv2.resize(np.ascontiguousarray(numbers.numpy()), tuple(size)[::-1], interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(found.reshape(*size, -1))


def draft_of(smoothed: Iterable[Field], labelled: Sample, *, flow: Flow, config: LooksConfig) -> Draft:
    """Returns what looks learn of the frames without labels. smoothed: probabilities of every frame as they agree in time."""
    heights = config.height, max(config.height, config.contour_height)
    size, finest = (size_at(labelled.volume.shape[2:], height) for height in heights)
    kept = evenly(labelled.unlabelled_frames, config.frames)
    return Draft(smoothed, kept, frames=flow.frames, size=size, finest=finest, fields=flow.fields)
