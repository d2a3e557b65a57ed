"""Frames of a volume in another size."""

import cv2
import numpy as np
import pytest
import torch

from revseg.video.read import read_video
from revseg.video.resize import resize_volume


@pytest.fixture
def volume():
    return torch.randint(0, 256, (3, 4, 12, 18), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(4, 9), (6, 6), (1, 1)])
def test_smaller_is_means_over_areas(volume, size):
    found = resize_volume(volume, size)
    assert (found.shape, found.dtype) == ((3, 4, *size), torch.uint8)
    height, width = size
    means = volume.double().unflatten(3, (width, -1)).unflatten(2, (height, -1)).mean((3, 5))
    assert (found.double() - means).abs().max() <= 0.5


def test_larger_is_linear_interpolation(volume):
    found = resize_volume(volume, (24, 36))
    assert found.shape == (3, 4, 24, 36)
    expected = torch.nn.functional.interpolate(volume.double(), (24, 36), mode="bilinear", align_corners=False)
    assert (found.double() - expected).abs().max() <= 1


def test_every_frame_and_channel_by_itself(volume):
    for size in (7, 11), (17, 25):
        found = resize_volume(volume, size)
        method = cv2.INTER_AREA if size[0] < 12 else cv2.INTER_LINEAR
        for channel, frame in np.ndindex(3, 4):
            alone = cv2.resize(volume[channel, frame].numpy(), size[::-1], interpolation=method)
            assert np.array_equal(found[channel, frame].numpy(), alone)


def test_the_volume_stays_as_it_is(volume):
    before = volume.clone()
    resize_volume(volume, (4, 9)).zero_()
    resize_volume(volume, (12, 18)).zero_()
    assert volume.equal(before)


def test_a_video_is_what_it_would_be_if_it_were_decoded_at_that_size(tmp_path, pictures, encode):
    """But for roundings on the way from YUV to RGB."""
    path = encode(tmp_path / "video.mp4", pictures(4))
    small = read_video(path, height=32).volume
    difference = resize_volume(read_video(path).volume, (32, 48)).double() - small
    assert difference.abs().mean() < 1.5
    assert difference.abs().max() < 8
