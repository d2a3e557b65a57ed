"""What a step sees of a video: volume and labels belong together."""

import pytest
import torch

from revseg.training.item import Item

VOLUME = torch.zeros(3, 5, 4, 6, dtype=torch.uint8)


def test_sizes() -> None:
    item = Item(VOLUME, torch.zeros(2, 4, 6, dtype=torch.uint8), (0, 3))
    assert (item.frames, item.height, item.width) == (5, 4, 6)
    assert item.evidence is None


@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 4, 5), (2, 8, 12)])
def test_labels_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError):
        Item(VOLUME, torch.zeros(shape, dtype=torch.uint8), (0, 3))
