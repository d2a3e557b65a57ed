"""Labels that are carried along by optical flow."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from quality.methods import propagate

from revseg.labels.palette import VOID
from revseg.labels.sample import Sample

pytestmark = pytest.mark.slow


def video(volume: np.ndarray, masks: np.ndarray, frames: tuple[int, ...]) -> Sample:
    """volume: (T, H, W) grey."""
    colour = torch.from_numpy(np.repeat(volume[None], 3, axis=0))
    names = tuple(f"{index:05d}" for index in range(len(volume)))
    size = volume.shape[1], volume.shape[2]
    return Sample("made", colour, torch.from_numpy(masks), frames, size, Fraction(24), Path("made"), names)


@pytest.mark.parametrize("chain", [True, False])
def test_flow_carries_labels_with_what_moves(chain: bool) -> None:
    """Texture that moves two pixels to the right in every frame, labelled in the middle."""
    coarse = np.random.default_rng(0).integers(0, 255, (16, 32), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((128, 64), Image.Resampling.BICUBIC))
    mask = np.zeros((64, 128), np.uint8)
    mask[20:44, 40:70] = 2
    moved = np.stack([np.roll(texture, 2 * (t - 2), axis=1)[:, 10:-10] for t in range(5)])
    truth = np.stack([np.roll(mask, 2 * (t - 2), axis=1)[:, 10:-10] for t in range(5)])
    labels = truth[2:3].copy()
    labels[0, 0] = VOID
    for found, true in zip(propagate(video(moved, labels, (2,)), chain), truth, strict=True):
        assert set(np.unique(found)) == {0, 2}
        assert ((found == 2) & (true == 2)).sum() > 0.93 * ((found == 2) | (true == 2)).sum()
