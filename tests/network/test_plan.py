"""From settings to blocks and sizes, against lists written by hand."""

import pytest

from revseg.network.config import NetworkConfig
from revseg.network.plan import blocks_of, level_channels, multiple_of, padded_size


def test_blocks_go_down_and_up_again():
    config = NetworkConfig(channels=4, levels=2, depth=(1, 0, 2), rank=(3, 5, 7), coarsen_time=(True, False))
    assert [(b.kind, b.level, b.channels, b.rank, b.halve_time) for b in blocks_of(config)] == [
        ("leapfrog", 0, 4, 3, False),
        ("coarsen", 0, 4, 0, True),
        ("coarsen", 1, 32, 0, False),
        ("leapfrog", 2, 128, 7, False),
        ("leapfrog", 2, 128, 7, False),
        ("refine", 1, 32, 0, False),
        ("refine", 0, 4, 0, True),
        ("leapfrog", 0, 4, 3, False),
    ]


def test_without_levels_there_are_leapfrogs_alone():
    blocks = blocks_of(NetworkConfig(levels=0, depth=3))
    assert [block.kind for block in blocks] == ["leapfrog"] * 3


@pytest.mark.parametrize(
    ("coarsen_time", "channels", "multiple"),
    [
        (True, (4, 32, 256), (4, 4, 4)),
        (False, (4, 16, 64), (1, 4, 4)),
        ((False, True), (4, 16, 128), (2, 4, 4)),
    ],
)
def test_channels_and_multiple(coarsen_time, channels, multiple):
    config = NetworkConfig(channels=4, levels=2, depth=1, coarsen_time=coarsen_time)
    assert level_channels(config) == channels
    assert multiple_of(config) == multiple


@pytest.mark.parametrize(
    ("size", "offset", "padded"),
    [
        ((1, 1, 1), (0, 0, 0), (8, 8, 8)),
        ((8, 16, 24), (0, 0, 0), (8, 16, 24)),
        ((9, 48, 85), (0, 0, 0), (16, 48, 88)),
        ((8, 48, 85), (1, 3, 3), (16, 56, 88)),
        ((8, 48, 85), (0, 0, 4), (8, 48, 96)),
    ],
)
def test_padded_size_holds_the_video_at_its_offset(size, offset, padded):
    assert padded_size(NetworkConfig(), size, offset) == padded
