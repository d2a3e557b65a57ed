from fractions import Fraction
from pathlib import Path

import pytest
import torch

from revseg.labels.sample import Sample


@pytest.fixture
def sample():
    labels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1).expand(3, 4, 6)
    volume = torch.zeros(3, 9, 4, 6, dtype=torch.uint8)
    return Sample("dog", volume, labels, (0, 4, 8), (40, 60), Fraction(24), Path("dog.mp4"))


def test_sizes(sample):
    assert (sample.frames, sample.height, sample.width) == (9, 4, 6)


def test_select(sample):
    part = sample.select([8, 0])
    assert part.labelled_frames == (0, 8)
    assert part.labels[:, 0, 0].tolist() == [0, 2]
    assert part.volume is sample.volume
    assert sample.select([]).labels.shape == (0, 4, 6)


def test_select_what_is_not_labelled(sample):
    with pytest.raises(ValueError, match=r"frame 3 of dog\.mp4 is not labelled: choose among \(0, 4, 8\)"):
        sample.select([0, 3])
