"""Frame, truth and prediction side by side, for TensorBoard; the same frames through the whole training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from revseg.labels.dataset import evenly_spaced
from revseg.labels.sample import Sample
from revseg.output.overlay import overlay


def pictures(
    masks: Sequence[NDArray[np.uint8]], truth: Sample, name: str = "segmentation", count: int = 4
) -> dict[str, NDArray[np.uint8]]:
    """masks: one per frame of the video; shown are a few of the frames that `truth` has labels of."""
    found = {}
    for position in evenly_spaced(len(truth.labelled_frames), min(count, len(truth.labelled_frames))):
        frame = truth.labelled_frames[position]
        image = truth.volume[:, frame].movedim(0, -1).numpy()
        row = [image, overlay(image, truth.labels[position].numpy()), overlay(image, masks[frame])]
        found[f"{name}/frame {frame}: frame, truth, prediction"] = np.concatenate(row, 1)
    return found
