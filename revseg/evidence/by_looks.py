"""What is carried to a frame, weighed with what its pixels look like, in the large and near contours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.ahead import map_ahead
from revseg.evidence.background import PICTURES, Scene
from revseg.evidence.config import EvidenceConfig, LooksConfig
from revseg.evidence.descriptors import NUMBERS, Pixels, size_at
from revseg.evidence.draft import Draft
from revseg.evidence.ensemble import Ensemble
from revseg.evidence.fields import Field
from revseg.evidence.flow import Flow
from revseg.evidence.looks import (
    FADES,
    HEARD,
    PIXELS,
    Choice,
    Drawn,
    Examples,
    choose,
    evenly,
    sure_objects,
    surely,
    weighed,
    weight_of,
)
from revseg.evidence.native import opinion
from revseg.evidence.native.library import compiled
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
        self._draw(labels, into=(of_labels, finer), sure=0)
        self._by_labels = self._learned(of_labels)
        self._draw(draft.likely, into=(self._sure, finer), sure=looks.sure, of_labels=False)
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
        self, likely: Mapping[int, Tensor], *, into: tuple[Examples, Examples], sure: float, of_labels: bool = True
    ) -> None:
        """Draws pixels of frames as they are seen in the large, and others as they are finely seen.

        likely: frame -> 255 times the probabilities, (classes, H, W) uint8; of_labels: these are labels, without shadows.
        """
        examples, finer = into
        finest, count = self._finer_sight, PIXELS // max(1, len(likely))

        def chosen(frame: int) -> tuple[Tensor, Choice, Choice | None]:
            seen = self.seen(frame)
            found = likely[frame] if of_labels else self._without_shadows(likely[frame], seen)
            fine = None if finest is None else choose(finest.size, found, count, sure=sure)
            return seen, choose((seen.shape[0], seen.shape[1]), found, count, sure=sure), fine

        def drawn() -> Iterator[tuple[int, Tensor, Drawn]]:
            for frame, (seen, coarse, fine) in self.flow.each(chosen, list(likely)):
                examples.draw(coarse, seen)
                if fine is not None:
                    yield frame, seen[..., NUMBERS:].clone(), finer.drawn(fine)

        def finely(one: tuple[int, Tensor, Drawn]) -> tuple[Tensor, Tensor]:
            frame, differs, some = one
            pixels, rows = some.rows()
            return self._seen_finely(frame, pixels, differs)[rows], some.classes

        finer.parts += map_ahead(self.flow.pool, finely, drawn(), ahead=self.flow.threads)

    def _without_shadows(self, probabilities: Tensor, seen: Tensor) -> Tensor:
        """Returns probabilities (classes, H, W) uint8 of a frame that is seen so, with ground where shadows are."""
        if not self.config.background or (said := self._by_labels.members[-1].odds(seen)) is None:
            return probabilities
        ground = torch.zeros_like(probabilities)
        ground[0] = 255
        found = shadows(seen[..., NUMBERS:], said.cpu())[None, None].float()
        return torch.where(F.interpolate(found, probabilities.shape[1:])[0, 0] > 0, ground, probabilities)

    def _learned(self, *examples: Examples) -> Ensemble:
        return Ensemble(*examples, classes=self._classes, config=self.config, device=self.flow.device, pool=self.flow.pool)

    def told(self, frames: Sequence[int], confidence: Tensor) -> Iterator[Told]:
        """Yields what is said of frames, a few of them in the making. confidence: in the evidence, (T, H, W) uint8."""
        pool, ahead = self.flow.pool, self.flow.threads  # all is done there: PyTorch's own threads would only be in the way
        coarse = map_ahead(pool, self._coarsely, frames, ahead=ahead)
        if self._finer_sight is None:
            yield from coarse
        else:
            yield from map_ahead(pool, partial(self._finely, confidence=confidence), coarse, ahead=ahead)

    def _coarsely(self, frame: int) -> Told:
        seen = self.seen(frame)
        said, known = self.ensemble.odds(seen), torch.zeros(self._classes)
        if said is not None:
            sure = sure_objects(said)
            by_labels = self._by_labels.members[0].odds(seen[sure.cpu()][:, :NUMBERS])
            if by_labels is not None:
                known = surely(said[:, sure], by_labels) / sure.numel()
        return Told(frame, said, coarse=said, differs=seen[..., NUMBERS:].clone(), known=known)

    def _finely(self, told: Told, confidence: Tensor) -> Told:
        """Returns the same, with what is said by who sees finely near contours, where looks are heard."""
        sight = self._finer_sight
        assert sight is not None
        if told.coarse is None:
            return told
        near = near_contours(_likeliest(told.coarse, sight.size)) & self._heard(confidence[told.frame], sight.size)
        finely = self._finer.odds(self._seen_finely(told.frame, near, told.differs)) if near.any() else None
        return told if finely is None else told._replace(said=_sharpened(told.coarse, near, finely))

    def _heard(self, confidence: Tensor, size: tuple[int, int]) -> Pixels:
        """Returns where looks are heard beside evidence of a confidence (H, W) uint8, (h, w)."""
        counts = weight_of(torch.arange(256) / 255, self._fades)
        if tuple(confidence.shape) == size:
            return (counts > HEARD).numpy()[confidence.cpu().numpy()]
        found: Pixels = (_larger(counts.to(confidence.device)[None, confidence.int()], size)[0] > HEARD).cpu().numpy()
        return found

    def _seen_finely(self, frame: int, pixels: Pixels, differs: Tensor) -> Tensor:
        """Returns what is finely seen of some pixels (H, W) of a frame, (n, N). differs: how it differs from what is behind it,
        as it is seen in the large."""
        sight = self._finer_sight
        assert sight is not None
        rows = torch.empty(int(pixels.sum()), NUMBERS + differs.shape[2])
        sight.some(frame, pixels, into=rows[:, :NUMBERS])
        if compiled():
            opinion.enlarge(differs, pixels, into=rows[:, NUMBERS:])
        else:
            rows[:, NUMBERS:] = _enlarged(differs, sight.size)[torch.from_numpy(pixels)]
        return rows

    def weighed(self, evidence: Tensor, said: Tensor | None) -> Tensor:
        """Returns the probabilities of a frame of which that is said, (classes + 1, H, W) uint8 -> (classes, H, W) uint8."""
        return evidence[:-1] if said is None else weighed(evidence, said, self.config.power, fades=self._fades)


def _likeliest(said: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns the likeliest class of each pixel at another size."""
    if said.device.type == "cpu" and compiled():
        return opinion.likeliest(said, size)
    found: NDArray[np.uint8] = _larger(said, size).max(0).indices.to(torch.uint8).cpu().numpy()  # argmax takes ten times as long
    return found


def _sharpened(said: Tensor, near: Pixels, finely: Tensor) -> Tensor:
    """Returns an opinion at the size of some pixels (H, W), with what is said of these, (classes, n), in its place."""
    if said.device.type == "cpu" and compiled():
        return opinion.sharpen(said, near, finely)
    larger = _larger(said, near.shape)
    larger[:, torch.from_numpy(near)] = finely
    return larger


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
