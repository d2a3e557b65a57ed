"""From a network's probabilities to masks. The only place that knows this order:

with evidence       refine, pool, decide        the evidence agrees in time already: to smooth once more wears thin things away;
                                                an object that the evidence has nowhere in a frame is not there
without             smooth, decide
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg import storage
from revseg.evidence.config import EvidenceConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.expectation import ABSENT, expected_similarity, trust
from revseg.evidence.flow import Flow
from revseg.evidence.observation import Observation
from revseg.evidence.smoothing import Given, Smoothing
from revseg.labels.masks import Labels, resize_mask, resize_sparse
from revseg.labels.palette import VOID
from revseg.network.inference import Predict, is_summed, predict_probabilities, spread_placements
from revseg.network.network import RevSegNet
from revseg.runs.phases import phase
from revseg.segmentation.pool import pool
from revseg.segmentation.refine import refine

Mask = NDArray[np.uint8]


class Segmented(NamedTuple):
    """The mask of a frame, and how good it is expected to be."""

    mask: Mask
    """(H, W): the class of every pixel."""
    expected_J: float
    """``expected_similarity``, times the ``trust`` in the evidence where there is some."""
    probabilities: NDArray[np.float16] | None = None
    """(O, H, W): of every class, where they are asked for."""


@dataclass(frozen=True)
class Segmenter:
    """Masks of one video, frame by frame, a few in memory at a time."""

    observation: Observation
    config: EvidenceConfig
    label_count: int = 1
    """How many frames' labels the network has learned from. A network of many videos has learned from no label of this one: it
    counts as one that saw a single frame."""
    size: tuple[int, int] | None = None
    """(H, W) of the masks; None: the video's own."""
    keeps_labels: bool = False
    """Whether the masks are the video's labels wherever these are not void: at every size, not only that of the evidence."""
    keeps_probabilities: bool = False
    """Whether the probabilities come with the masks."""
    window: int | None = None
    """How many frames the network sees at a time; None: all."""
    predict: Predict | None = None
    """What finds the network's probabilities; None: ``predict_probabilities``."""

    def segment(self, net: RevSegNet, placements: int = 1) -> Iterator[Segmented]:
        """Masks that a network makes, averaged over so many placements on its grid."""
        yield from self.decide(self._refined(net, placements))

    def decide(self, probabilities: Iterator[Tensor]) -> Iterator[Segmented]:
        """Masks from probabilities (O, h, w) of each frame in order, from whatever network."""
        flow, evidence = self.observation.flow, self.observation.evidence
        size = self.size or self.observation.video.native_size
        if evidence is not None:
            probabilities = self._pooled(probabilities, evidence)
        elif flow is not None and self.config.smoothing.sweeps:
            probabilities = self._smoothed(probabilities, flow)
        labelled = self.observation.video.labelled_frames
        for frame, found in enumerate(probabilities):
            whole = self._labelled(frame, resized(found, size))  # probabilities, not masks: contours stay smooth
            classes = whole.max(0).indices  # argmax: the same, in twenty times the time (torch 2.14, CPU)
            kept = whole.to(torch.float16).cpu().numpy() if self.keeps_probabilities else None
            expected = expected_similarity(whole, classes)
            if evidence is not None:
                expected *= trust(found, evidence.confidence[frame].to(found.device) / 255)
                if frame not in labelled and (gone := evidence.gone(frame)):
                    classes = without(gone, whole, classes)
                    expected = expected if classes.any() else ABSENT
            yield Segmented(classes.to(torch.uint8).cpu().numpy(), expected, kept)

    def _refined(self, net: RevSegNet, placements: int) -> Iterator[Tensor]:
        """(O, H, W) of each frame at the size of the evidence, or that of the network."""
        seen, evidence = self.observation.seen, self.observation.evidence
        offsets, inputs, total = spread_placements(net.multiple, placements), self.observation.inputs, None
        if is_summed(inputs.shape[1], placements, self.window) and net.device.type == "cpu":
            total = storage.zeros(net.config.outputs, *inputs.shape[1:], dtype=torch.float16)
        found = (self.predict or predict_probabilities)(net, inputs, offsets, window=self.window, total=total)
        for start, some in _first_in_a_phase(found, placements):
            for frame, probabilities in enumerate(some.unbind(1), start):
                if seen is None or evidence is None:
                    yield probabilities
                else:
                    yield refine(net, probabilities, seen=seen, evidence=evidence, frame=frame, config=self.config.refine)

    def _pooled(self, probabilities: Iterator[Tensor], evidence: Evidence) -> Iterator[Tensor]:
        """The same with the evidence; whole labelled frames keep their labels."""
        video, fixed = self.observation.video, self.observation.fixed
        for frame, found in enumerate(probabilities):
            known, _ = evidence.frame(frame)
            network = resized(found.to(known.device), evidence.size)
            if frame in fixed:  # where the label is void, nobody else knows
                yield torch.where(known.sum(0) > 0, known, network)
            else:
                seen = video.height, video.width
                yield pool(network, known, label_count=self.label_count, seen=seen, config=self.config.pool)

    def _smoothed(self, probabilities: Iterator[Tensor], flow: Flow) -> Iterator[Tensor]:
        """The same as they agree in time, at the size of the flow."""
        fields, settings = flow.fields, self.config.smoothing
        given = (Given(fields.field(resized(found, flow.size[::-1])), settings.confidence) for found in probabilities)
        return map(fields.tensor, Smoothing(flow, settings)(given))

    def _labelled(self, frame: int, found: Tensor) -> Tensor:
        """The same with the labels of the frame, where it has any."""
        labels = self._labels_of(frame, (found.shape[1], found.shape[2])) if self.keeps_labels else None
        if labels is None:
            return found
        known = torch.from_numpy(labels).to(found.device)
        classes = torch.arange(len(found), device=found.device).view(-1, 1, 1)
        return torch.where(known == VOID, found, (known == classes).to(found.dtype))

    def _labels_of(self, frame: int, size: tuple[int, int]) -> Labels | None:
        """(H, W): the labels of a frame at a size, of sparse ones every point; None where it has none."""
        video = self.observation.video
        if frame not in video.labelled_frames:
            return None
        mask = video.masks[video.labelled_frames.index(frame)].numpy()
        return (resize_mask if frame in video.whole_frames else resize_sparse)(mask, *size)


def _first_in_a_phase(found: Iterator[tuple[int, Tensor]], placements: int) -> Iterator[tuple[int, Tensor]]:
    """Yields the same: what comes first waits for all blocks of the network, at all placements but perhaps the last."""
    with phase("inference", total=placements, unit="placement") as bar:
        first = [next(found)]
        bar.advance(placements)
    yield first.pop()  # whoever takes it is the only one that holds it
    yield from found


def without(gone: Sequence[int], probabilities: Tensor, classes: Tensor) -> Tensor:
    """Returns the classes (H, W) with the likeliest of the rest, of (O, H, W), in place of those that are gone."""
    where = torch.isin(classes, torch.tensor(gone, device=classes.device))
    rest = probabilities[:, where]
    rest[gone] = -1
    return classes.masked_scatter(where, rest.max(0).indices)


def resized(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """Probabilities (O, h, w) -> (O, H, W), linearly."""
    if probabilities.shape[1:] == size:
        return probabilities
    return F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
