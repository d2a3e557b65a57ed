"""From probabilities to masks, a few frames at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from revseg.network.inference import predict_probabilities, spread_offsets
from revseg.network.network import RevSegNet
from revseg.prediction.refine import refine

Mask = NDArray[np.uint8]


def segment(
    net: RevSegNet, volume: Tensor, size: tuple[int, int] | None = None, offsets: int = 1, fine: Tensor | None = None
) -> Iterator[Mask]:
    """Class of every pixel of a video (I, T, H, W) uint8: one (H, W) array per frame, in order.

    size: (H, W) of the masks, None: that of the volume. offsets: placements on the network's grid that are averaged over.
    fine: of a guided network, evidence finer than that in the volume, (O + 1, T, H', W') uint8, for its detail.
    """
    frame = 0
    for _, probabilities in predict_probabilities(net, volume, spread_offsets(net.multiple, offsets)):
        for found in probabilities.unbind(1):
            if fine is not None:
                found = refine(net, found, volume[3:, frame], fine[:, frame])
            yield mask_of(found, size or (volume.shape[2], volume.shape[3]))
            frame += 1


def mask_of(probabilities: Tensor, size: tuple[int, int]) -> Mask:
    """(O, h, w) -> the class of each of (H, W) pixels. Probabilities are resized, not masks: contours stay smooth."""
    if probabilities.shape[1:] != size:
        probabilities = F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
    return probabilities.argmax(0).to(torch.uint8).cpu().numpy()
