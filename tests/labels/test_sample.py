"""A video with masks of some of its frames, at its own size and at that of the volume."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.labels.masks import resize_mask
from revseg.labels.sample import Sample

NATIVE = (40, 60)


@pytest.fixture
def sample():
    """9 frames of 4 x 6 of 40 x 60 pixels; mask number n shows object n on the left of a column of void."""
    masks = torch.arange(3, dtype=torch.uint8).view(3, 1, 1).repeat(1, *NATIVE)
    masks[:, :, 30:] = 0
    masks[:, :, 52] = 255
    volume = torch.randint(0, 256, (3, 9, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Sample("dog", volume, masks, (0, 4, 8), NATIVE, Fraction(24), Path("dog.mp4"))


def test_sizes(sample):
    assert (sample.frames, sample.height, sample.width) == (9, 4, 6)


def test_frames_without_labels(sample):
    assert sample.unlabelled_frames == (1, 2, 3, 5, 6, 7)
    assert sample.select([]).unlabelled_frames == tuple(range(9))


def test_labels_are_the_masks_at_the_size_of_the_volume(sample):
    assert sample.labels.dtype == torch.uint8
    assert sample.labels.shape == (3, 4, 6)
    for labels, mask in zip(sample.labels, sample.masks, strict=True):
        assert np.array_equal(labels.numpy(), resize_mask(mask.numpy(), 4, 6))
    assert sample.labels[2, 0].tolist() == [2, 2, 2, 0, 0, 0]
    assert sample.labels is sample.labels  # made once


def test_select(sample):
    part = sample.select([8, 0])
    assert part.labelled_frames == (0, 8)
    assert part.labels[:, 0, 0].tolist() == [0, 2]
    assert part.masks.equal(sample.masks[[0, 2]])
    assert part.volume is sample.volume
    assert sample.select([]).labels.shape == (0, 4, 6)
    assert sample.select([]).masks.shape == (0, *NATIVE)


def test_labels_of_a_selection_are_its_own(sample):
    """Though those of the whole were made before."""
    assert sample.labels[:, 0, 0].tolist() == [0, 1, 2]
    assert sample.select([4]).labels[:, 0, 0].tolist() == [1]


def test_select_what_is_not_labelled(sample):
    with pytest.raises(ValueError, match=r"frame 3 of dog\.mp4 is not labelled: choose among \(0, 4, 8\)"):
        sample.select([0, 3])


def test_another_height_keeps_the_aspect_and_the_masks(sample):
    larger = sample.resized(8)
    assert larger.volume.shape == (3, 9, 8, 12)
    assert larger.labels.shape == (3, 8, 12)
    assert larger.masks is sample.masks
    assert (larger.native_size, larger.labelled_frames, larger.name) == (NATIVE, (0, 4, 8), "dog")
    assert larger.labels[2, 0].tolist() == [2] * 6 + [0] * 4 + [255] + [0]


def test_no_height_is_that_of_the_video(sample):
    native = sample.resized(None)
    assert native.volume.shape == (3, 9, *NATIVE)
    assert native.labels.equal(sample.masks)


def test_the_same_height_is_the_same_sample(sample):
    assert sample.resized(4) is sample


@pytest.mark.parametrize("frames", [(0, 4), (0, 8, 4), (0, 4, 4)])
def test_masks_and_frames_belong_together(sample, frames):
    with pytest.raises(AssertionError):
        Sample("dog", sample.volume, sample.masks, frames, NATIVE, Fraction(24), Path("dog.mp4"))
    with pytest.raises(AssertionError):
        Sample("dog", sample.volume, sample.labels, (0, 4, 8), NATIVE, Fraction(24), Path("dog.mp4"))
