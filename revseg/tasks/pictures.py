"""Frame, truth and prediction side by side, for TensorBoard; the same frames through the whole training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from revseg.labels.dataset import evenly_spaced
from revseg.labels.sample import Sample
from revseg.output.overlay import overlay
from revseg.training.item import Item
from revseg.video.picture import picture_of

MARGINS = (2, 2), (2, 2), (0, 0)
"""Black pixels around each picture of a row."""


def pictures(
    masks: Sequence[NDArray[np.uint8]], truth: Sample | Item, volume: Tensor, *, name: str = "segmentation", count: int = 4
) -> dict[str, NDArray[np.uint8]]:
    """Returns pictures of a few frames that `truth` has labels of. masks: one for each frame of the volume (C, T, H, W)."""
    found = {}
    for position in evenly_spaced(len(truth.labelled_frames), min(count, len(truth.labelled_frames))):
        frame = truth.labelled_frames[position]
        image = picture_of(list(volume[:, frame].numpy()))
        row = [image, overlay(image, truth.labels[position].numpy()), overlay(image, masks[frame])]
        found[f"{name}/frame {frame}: frame, truth, prediction"] = np.hstack([np.pad(each, MARGINS) for each in row])
    return found
