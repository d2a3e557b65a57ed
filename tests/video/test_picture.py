"""Pictures of frames of any number of channels."""

import numpy as np
import pytest

from revseg.video.picture import picture_of


@pytest.mark.parametrize(("channels", "groups"), [(1, [[0]] * 3), (2, [[0, 1]] * 3), (4, [[0, 1], [2], [3]]), (16, [range(6)])])
def test_groups_of_channels(channels: int, groups: list) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (channels, 5, 6), dtype=np.uint8)
    picture = picture_of(list(planes))
    assert (picture.shape, picture.dtype) == ((5, 6, 3), np.uint8)
    for colour, group in enumerate(groups):
        assert np.array_equal(picture[..., colour], planes[list(group)].mean(0).round())


def test_three_channels_are_red_green_and_blue() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 5, 6), dtype=np.uint8)
    assert np.array_equal(picture_of(list(planes)), np.moveaxis(planes, 0, -1))
