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


def segment(
    net: RevSegNet, volume: Tensor, size: tuple[int, int] | None = None, offsets: int = 1
) -> Iterator[NDArray[np.uint8]]:
    """Class of every pixel of a video (3, T, H, W) uint8: one (H, W) array per frame, in order.

    size: (H, W) of the masks, None: that of the volume. The probabilities are resized, not the masks:
    contours stay smooth. offsets: number of placements on the network's grid that are averaged over.
    """
    volume = volume.to(next(net.parameters()).device)
    for _, probabilities in predict_probabilities(net, volume, spread_offsets(net.multiple, offsets)):
        for frame in probabilities.unbind(1):
            yield _classes(frame, size or (volume.shape[2], volume.shape[3]))


def _classes(probabilities: Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(O, h, w) -> (H, W)."""
    if probabilities.shape[1:] != size:
        probabilities = F.interpolate(probabilities[None], size, mode="bilinear", align_corners=False)[0]
    return probabilities.argmax(0).to(torch.uint8).cpu().numpy()
