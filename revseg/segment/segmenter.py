"""From probabilities to masks, a few frames at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg.evidence.smoothing import Given, Smoothing
from revseg.network.inference import predict_probabilities, spread_offsets
from revseg.network.network import RevSegNet
from revseg.segment.expectation import expected_similarity
from revseg.segment.pool import pool
from revseg.segment.refine import refine

Mask = NDArray[np.uint8]


class Segmented(NamedTuple):
    """A frame."""

    mask: Mask
    """(H, W): the class of every pixel."""
    expected_J: float
    """``expected_similarity``."""


# In the smoothing, where no evidence says how sure one can be (libby, dance-twirl, kite-surf: J 0.633 with 0.1, 0.620 with 1).
CONFIDENCE = 0.1


@dataclass(frozen=True)
class Guide:
    """What is known of a video beside its pictures, for the masks of a guided network."""

    evidence: Tensor
    """(O + 1, T, H, W) uint8 (``propagate``), as fine as that in the network's volume or finer."""
    labelled_frames: Collection[int]
    """Those whose evidence is their label: it stays."""
    label_count: int
    """How many frames' labels the network has learned from."""
    seen: tuple[int, int]
    """(h, w) of the volume, and so of the evidence that the network sees."""

    def probabilities(self, frame: int) -> Tensor:
        return self.evidence[:-1, frame].float() / 255

    def confidence(self, frame: int) -> Tensor:
        return self.evidence[-1, frame].float() / 255


def segment(
    net: RevSegNet,
    volume: Tensor,
    size: tuple[int, int] | None = None,
    offsets: int = 1,
    guide: Guide | None = None,
    smoothing: Smoothing | None = None,
) -> Iterator[Segmented]:
    """Class of every pixel of a video (I, T, H, W) uint8, frame by frame, in order.

    size: (H, W) of the masks, None: that of the volume. offsets: placements on the network's grid that are averaged over.
    smoothing: along the flow of the same video, at the size of the guide's evidence if there is one.
    """
    probabilities = _refined(net, volume, offsets, guide)
    yield from decide(probabilities, size or (volume.shape[2], volume.shape[3]), guide, smoothing)


def decide(
    probabilities: Iterator[Tensor],
    size: tuple[int, int],
    guide: Guide | None = None,
    smoothing: Smoothing | None = None,
) -> Iterator[Segmented]:
    """From a video's probabilities (O, h, w), frame by frame, to masks of a size (H, W)."""
    if guide is not None:
        probabilities = _pooled(probabilities, guide)
    if smoothing is not None:
        probabilities = map(torch.from_numpy, smoothing(_given(probabilities, smoothing.flow.size, guide)))
    for found in probabilities:
        whole = resized(found, size)  # probabilities, not masks: contours stay smooth
        classes = whole.max(0).indices  # argmax: the same, in twenty times the time (torch 2.14, CPU)
        yield Segmented(classes.to(torch.uint8).cpu().numpy(), expected_similarity(whole, classes))


def _refined(net: RevSegNet, volume: Tensor, offsets: int, guide: Guide | None) -> Iterator[Tensor]:
    """(O, H, W) of each frame, at the size of the guide's evidence, or of the volume."""
    for start, some in predict_probabilities(net, volume, spread_offsets(net.multiple, offsets)):
        for frame, found in enumerate(some.unbind(1), start):
            yield found if guide is None else refine(net, found, volume[3:, frame], guide.evidence[:, frame])


def _pooled(probabilities: Iterator[Tensor], guide: Guide) -> Iterator[Tensor]:
    for frame, found in enumerate(probabilities):
        evidence = guide.probabilities(frame)
        network = resized(found.to(evidence.device), (evidence.shape[1], evidence.shape[2]))
        if frame in guide.labelled_frames:  # where the label is void, nobody else knows
            yield torch.where(evidence.sum(0) > 0, evidence, network)
        else:
            yield pool(network, evidence, guide.label_count, guide.seen)


def _given(probabilities: Iterator[Tensor], size: tuple[int, int], guide: Guide | None) -> Iterator[Given]:
    """At the size (W, H) of the flow."""
    for frame, found in enumerate(probabilities):
        confidence = CONFIDENCE if guide is None else guide.confidence(frame).numpy()
        yield Given(resized(found, (size[1], size[0])).cpu().numpy(), confidence)


def resized(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    if probabilities.shape[1:] == size:
        return probabilities
    return F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
