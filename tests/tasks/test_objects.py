"""Ids of labels and classes of a network."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.network.config import NetworkConfig
from revseg.tasks.objects import Objects, trained_objects
from revseg.training.checkpoint import Checkpoint


def sample_of(*masks: list[int]) -> Sample:
    rows = torch.tensor(masks, dtype=torch.uint8)[:, None]
    volume = torch.zeros(3, len(masks), *rows.shape[1:], dtype=torch.uint8)
    return Sample("a", volume, rows, tuple(range(len(masks))), tuple(rows.shape[1:]), Fraction(24), Path("a.mp4"))  # type: ignore[arg-type]


def test_holes_take_no_classes_and_the_ids_come_back() -> None:
    sample = sample_of([0, 254, 7, VOID], [7, 7, 0, 30])
    objects = Objects().with_those_of([sample])
    assert (objects.ids, objects.classes) == ((7, 30, 254), 4)
    labels = objects.as_classes(sample)
    assert labels.masks[:, 0].tolist() == [[0, 3, 1, VOID], [1, 1, 0, 2]]
    assert [objects.as_ids(mask.numpy()).tolist() for mask in labels.masks] == [[[0, 254, 7, VOID]], [[7, 7, 0, 30]]]
    assert objects.classes_in([sample_of([30, 0])]) == (2,)
    assert objects.id_of(3) == 254


def test_ids_without_holes_are_the_classes() -> None:
    sample = sample_of([0, 1, 3, 2])
    objects = Objects().with_those_of([sample])
    assert objects.as_classes(sample) is sample
    assert objects.as_ids(np.arange(4, dtype=np.uint8)).tolist() == [0, 1, 2, 3]


def test_more_objects_get_the_next_classes_and_those_that_are_known_keep_theirs() -> None:
    objects = Objects((9, 4)).with_those_of([sample_of([1, 4]), sample_of([12, 0])])
    assert objects.ids == (9, 4, 1, 12)
    objects.check(sample_of([12, 0]), 5)
    with pytest.raises(ValueError, match=r"a\.mp4 show object 12, but network\.classes=3 has room for 2, with 9, 4, 1 of the"):
        objects.check(sample_of([12, 0]), 3)


def test_classes_that_no_label_has_shown_get_ids_that_are_free() -> None:
    assert Objects((2, 5)).as_ids(np.array([0, 1, 2, 3, 4, 5], np.uint8)).tolist() == [0, 2, 5, 1, 3, 4]


def test_all_ids_there_are() -> None:
    sample = sample_of(list(range(256)))
    objects = Objects().with_those_of([sample])
    assert objects.classes == 255
    assert objects.as_ids(sample.masks[0].numpy()).ravel().tolist() == list(range(256))


def test_objects_of_a_checkpoint() -> None:
    network = NetworkConfig(channels=2, classes=4)

    def objects(label_count: int | None, recipe: dict) -> tuple[int, ...]:
        checkpoint = Checkpoint(network, {}, {}, step=0, seconds=0.0, height=None, label_count=label_count, recipe=recipe)
        return trained_objects(checkpoint).ids

    assert objects(2, {"objects": [3, 9]}) == (3, 9)
    assert objects(2, {}) == (1, 2, 3)  # before it was kept: the classes were the ids
    assert objects(None, {"objects": None}) == ()


def test_names_beside_ids_may_change_and_names_that_give_ids_may_not() -> None:
    sample = sample_of([0, 1, 2])
    first = Objects().with_those_of([replace(sample, object_names={1: "object 1", 2: "dog"})])
    later = replace(sample, object_names={1: "cat"})
    assert first.with_those_of([later, replace(later, object_names={1: "truth"})]).names == {1: "cat", 2: "dog"}
    with pytest.raises(ValueError, match="object 1 of the labels of a.mp4 is 'cat', but was 'object 1' before"):
        first.with_those_of([replace(later, objects_by_name=True)])
