"""From probabilities to masks, a few frames at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg.data.smoothing import Given, Smoothing
from revseg.network.inference import predict_probabilities, spread_offsets
from revseg.network.network import RevSegNet
from revseg.prediction.pool import pool
from revseg.prediction.refine import refine

Mask = NDArray[np.uint8]

# In the smoothing, where no evidence says how sure one can be (libby, dance-twirl, kite-surf: J 0.633 with 0.1, 0.620 with 1).
CONFIDENCE = 0.1


def segment(
    net: RevSegNet,
    volume: Tensor,
    size: tuple[int, int] | None = None,
    offsets: int = 1,
    fine: Tensor | None = None,
    label_count: int | None = None,
    smoothing: Smoothing | None = None,
) -> Iterator[Mask]:
    """Class of every pixel of a video (I, T, H, W) uint8: one (H, W) array per frame, in order.

    size: (H, W) of the masks, None: that of the volume. offsets: placements on the network's grid that are averaged over.
    fine: of a guided network, evidence finer than that in the volume, (O + 1, T, H', W') uint8, for its detail. label_count: the
    frames whose labels it has learned from, so that its word and the evidence's are pooled; None: it decides alone. smoothing:
    along the flow of the same video, at the size of `fine` if that is given.
    """
    probabilities = _refined(net, volume, offsets, fine)
    yield from decide(probabilities, size or (volume.shape[2], volume.shape[3]), fine, label_count, smoothing)


def decide(
    probabilities: Iterator[Tensor],
    size: tuple[int, int],
    fine: Tensor | None = None,
    label_count: int | None = None,
    smoothing: Smoothing | None = None,
) -> Iterator[Mask]:
    """The masks (H, W) of a video's probabilities (O, h, w), frame by frame; the others: as in ``segment``."""
    if fine is not None and label_count is not None:
        probabilities = _pooled(probabilities, fine, label_count)
    if smoothing is not None:
        probabilities = map(torch.from_numpy, smoothing(_given(probabilities, smoothing.flow.size, fine)))
    for found in probabilities:
        yield mask_of(found, size)


def _refined(net: RevSegNet, volume: Tensor, offsets: int, fine: Tensor | None) -> Iterator[Tensor]:
    """(O, H, W) of each frame, at the size of `fine`, or of the volume."""
    for start, some in predict_probabilities(net, volume, spread_offsets(net.multiple, offsets)):
        for frame, found in enumerate(some.unbind(1), start):
            yield found if fine is None else refine(net, found, volume[3:, frame], fine[:, frame])


def _pooled(probabilities: Iterator[Tensor], fine: Tensor, label_count: int) -> Iterator[Tensor]:
    for frame, found in enumerate(probabilities):
        evidence = fine[:-1, frame].to(found.device).float() / 255
        yield pool(resized(found, (fine.shape[2], fine.shape[3])), evidence, label_count)


def _given(probabilities: Iterator[Tensor], size: tuple[int, int], fine: Tensor | None) -> Iterator[Given]:
    """At the size (W, H) of the flow."""
    for frame, found in enumerate(probabilities):
        confidence = CONFIDENCE if fine is None else fine[-1, frame].numpy().astype(np.float32) / np.float32(255)
        yield Given(resized(found, (size[1], size[0])).cpu().numpy(), confidence)


def mask_of(probabilities: Tensor, size: tuple[int, int]) -> Mask:
    """(O, h, w) -> the class of each of (H, W) pixels. Probabilities are resized, not masks: contours stay smooth."""
    return resized(probabilities, size).argmax(0).to(torch.uint8).cpu().numpy()


def resized(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    if probabilities.shape[1:] == size:
        return probabilities
    return F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
