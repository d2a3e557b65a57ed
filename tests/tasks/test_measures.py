"""J and F of masks in memory, and the baseline."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.tasks.measures import (
    check_channels,
    check_classes,
    copy_nearest,
    measure,
    measured,
    object_ids,
    similarity_of_volume,
)


def sample_of(labels: dict[int, int], frames: int = 7) -> Sample:
    """4 x 4 pixels; frame -> the label that fills its upper half."""
    rows = torch.zeros(len(labels), 4, 4, dtype=torch.uint8)
    rows[:, :2] = torch.tensor(list(labels.values()), dtype=torch.uint8).view(-1, 1, 1)
    names = tuple(f"{frame:05d}" for frame in range(frames))
    volume = torch.zeros(3, frames, 4, 4, dtype=torch.uint8)
    return Sample("a", volume, rows, tuple(labels), (4, 4), Fraction(24), Path("a.mp4"), names)


def test_nearest_label_is_copied() -> None:
    copies = copy_nearest(sample_of({1: 1, 4: 2, 6: VOID}))
    assert [int(mask[0, 0]) for mask in copies] == [1, 1, 1, 2, 2, 2, 0]


def test_only_labelled_frames_count() -> None:
    truth = sample_of({0: 1, 3: 1})
    masks = [np.zeros((4, 4), np.uint8) for _ in range(7)]
    masks[0][:2] = 1
    found = measure(masks, truth, object_ids(truth))
    assert found.named() == {"J": 0.5, "F": 0.5, "JF": 0.5}


def test_objects() -> None:
    assert object_ids(sample_of({0: 1, 1: 3, 2: VOID})) == [1, 3]
    with pytest.raises(ValueError, match=r"no mask of a.mp4 shows an object"):
        object_ids(sample_of({0: 0, 1: VOID}))


def test_more_objects_than_classes() -> None:
    check_classes(sample_of({0: 2, 1: VOID}), 3)
    with pytest.raises(ValueError, match=r"a.mp4 show object 2, but network.classes=2.*set network.classes=3"):
        check_classes(sample_of({0: 2}), 2)


def test_similarity_of_a_volume_is_that_of_all_known_pixels_together() -> None:
    truth = sample_of({0: 1, 3: 1, 5: 0})
    truth.masks[:, :, 1:] = VOID  # the first column is known: 2 of its 4 pixels are the object in two frames
    masks = [np.zeros((4, 4), np.uint8) for _ in range(7)]
    masks[0][:3], masks[3][:, 1:], masks[5][3] = 1, 1, 1
    assert similarity_of_volume(masks, truth, [1, 2]) == {1: 2 / (3 + 2 + 1), 2: 1.0}
    assert measured(masks, truth, [1]) == {"J": 2 / 6}  # no contour is known
    whole = sample_of({0: 1, 3: 1})
    assert measured(masks, whole, [1]) == measure(masks, whole, [1]).named()


def test_a_few_labels_are_no_mask_to_copy() -> None:
    sample = sample_of({0: 1, 3: 1})
    sample.masks[0, 1:] = VOID
    assert copy_nearest(sample) is None


def test_channels() -> None:
    check_channels("a.npy", 4, channels=4)
    with pytest.raises(ValueError, match=r"a.npy has 5 channels, but the network is for 4 \(network.in_channels\); give a video"):
        check_channels("a.npy", 5, channels=4)
