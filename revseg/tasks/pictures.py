"""Frame, truth and prediction side by side, for TensorBoard; the same frames through the whole training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from revseg.labels.dataset import evenly_spaced
from revseg.labels.sample import Sample
from revseg.output.overlay import overlay
from revseg.training.item import Item
from revseg.video.picture import picture_of


def pictures(
    masks: Sequence[NDArray[np.uint8]], truth: Sample | Item, volume: Tensor, *, name: str = "segmentation", count: int = 4
) -> dict[str, NDArray[np.uint8]]:
    """Returns pictures of a few frames that `truth` has labels of. masks: one for each frame of the volume (C, T, H, W)."""
    from torchvision.utils import make_grid

    found = {}
    for position in evenly_spaced(len(truth.labelled_frames), min(count, len(truth.labelled_frames))):
        frame = truth.labelled_frames[position]
        image = picture_of(list(volume[:, frame].numpy()))
        row = [image, overlay(image, truth.labels[position].numpy()), overlay(image, masks[frame])]
        grid = make_grid([torch.from_numpy(np.ascontiguousarray(each)).movedim(-1, 0) for each in row], nrow=3, padding=2)
        found[f"{name}/frame {frame}: frame, truth, prediction"] = grid.movedim(0, -1).numpy()
    return found
