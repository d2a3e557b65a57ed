"""The J to be expected, and the frames to label next."""

import pytest
import torch

from revseg.evidence.expectation import TRUST, expected_similarity, least_sure, trust


def test_of_one_object() -> None:
    object_ = torch.tensor([[0.9, 0.6], [0.2, 0.0]])
    probabilities = torch.stack([1 - object_, object_])
    assert expected_similarity(probabilities, probabilities.argmax(0)) == pytest.approx(1.5 / 2.2)


def test_of_two_objects_together() -> None:
    probabilities = torch.tensor([[0.1, 0.1, 0.6], [0.7, 0.1, 0.4], [0.2, 0.8, 0.0]])[:, None]
    assert expected_similarity(probabilities, torch.tensor([[1, 2, 0]])) == pytest.approx(1.5 / (1 + 0.5 + 1 + 0.2))


def test_where_nothing_is_expected_all_is_right() -> None:
    probabilities = torch.stack([torch.ones(2, 3), torch.zeros(2, 3)])
    assert expected_similarity(probabilities, torch.zeros(2, 3, dtype=torch.long)) == 1
    assert expected_similarity(probabilities.flip(0), torch.ones(2, 3, dtype=torch.long)) == 1


def test_truths_drawn_from_the_probabilities_come_out_as_expected() -> None:
    generator = torch.Generator().manual_seed(0)
    object_ = torch.rand(40, 50, generator=generator) ** 2
    mask = object_ > 0.5
    truths = torch.rand(200, 40, 50, generator=generator) < object_
    similarities = (truths & mask).sum((1, 2)) / (truths | mask).sum((1, 2))
    expected = expected_similarity(torch.stack([1 - object_, object_]), mask.long())
    assert expected == pytest.approx(similarities.mean().item(), abs=2e-3)


def test_trust_is_the_confidence_where_objects_are() -> None:
    probabilities = torch.tensor([[0.0, 0.5, 1.0], [0.6, 0.5, 0.0], [0.4, 0.0, 0.0]])[:, None]
    confidence = torch.tensor([[0.2, 0.8, 0.0]])
    assert trust(probabilities, confidence) == pytest.approx(((0.2 + 0.4) / 1.5) ** TRUST)
    assert trust(probabilities, torch.ones(1, 3)) == 1
    assert trust(probabilities, torch.zeros(1, 3)) == 0
    assert trust(torch.tensor([1.0, 0.0]).view(2, 1, 1), torch.zeros(1, 1)) == 1


def test_of_each_stretch_without_labels_the_least_sure_frame() -> None:
    expected = [0.3, 0.2, 1.0, 0.5, 0.4, 0.6, 1.0, 1.0, 0.1]
    assert least_sure(expected, labelled=[2, 6, 7]) == [8, 1, 4]
    assert least_sure(expected, labelled={7, 2, 6}, count=2) == [8, 1]
    assert least_sure(expected, labelled=[]) == [8]


def test_labelled_frames_need_no_label() -> None:
    assert least_sure([0.1, 0.2], labelled=[0, 1]) == []
    assert least_sure([0.1, 0.2], labelled=[0]) == [1]
