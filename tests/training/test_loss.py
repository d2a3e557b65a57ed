"""The loss of a handful of pixels, worked by hand."""

from math import log

import pytest
import torch

from revseg.labels.palette import VOID
from revseg.training.config import LossConfig
from revseg.training.loss import SegmentationLoss, region_similarity


def logits_of(probabilities: list[float]) -> torch.Tensor:
    """(M, 2) with the given probabilities of class 1."""
    p = torch.tensor(probabilities)
    return torch.stack([(1 - p).log(), p.log()], 1)


def test_value_by_hand() -> None:
    loss = SegmentationLoss()
    statistics = loss.statistics(logits_of([0.5, 0.8, 0.25]), torch.tensor([0, 1, 1]))
    cross_entropy = -(log(0.5) + log(0.8) + log(0.25)) / 3
    dice = (2 * (0.8 + 0.25) + 1) / ((0.5 + 0.8 + 0.25) + 2 + 1)
    assert loss.value(statistics).item() == pytest.approx(cross_entropy + 1 - dice, rel=1e-6)


def test_void_counts_nothing() -> None:
    loss = SegmentationLoss()
    without = loss.statistics(logits_of([0.5, 0.8]), torch.tensor([0, 1]))
    with_void = loss.statistics(logits_of([0.5, 0.9, 0.8, 0.1]), torch.tensor([0, VOID, 1, VOID]))
    torch.testing.assert_close(without, with_void)


def test_all_void_is_finite_and_has_no_gradient() -> None:
    loss, logits = SegmentationLoss(), torch.randn(5, 3, requires_grad=True)
    value = loss.value(loss.statistics(logits, torch.full((5,), VOID)))
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_statistics_add_up_over_slabs() -> None:
    loss, logits = SegmentationLoss(), torch.randn(40, 4)
    labels = torch.randint(0, 4, (40,))
    parts = loss.statistics(logits[:13], labels[:13]) + loss.statistics(logits[13:], labels[13:])
    torch.testing.assert_close(parts, loss.statistics(logits, labels))


def test_weights_of_the_parts() -> None:
    logits, labels = torch.randn(40, 3), torch.randint(0, 3, (40,))

    def value(**weights: float) -> float:
        loss = SegmentationLoss(LossConfig(**weights))
        return loss.value(loss.statistics(logits, labels)).item()

    both = 0.5 * value(cross_entropy=1, dice=0) + 2 * value(cross_entropy=0, dice=1)
    assert value(cross_entropy=0.5, dice=2) == pytest.approx(both, rel=1e-5)


def test_region_similarity_is_the_mean_over_objects() -> None:
    found = torch.tensor([0, 1, 1, 1, 2, 2])
    labels = torch.tensor([0, 1, 1, 2, 2, VOID])
    statistics = SegmentationLoss().statistics(10.0 * torch.nn.functional.one_hot(found, 3), labels)
    assert region_similarity(statistics).item() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_object_that_is_neither_there_nor_found_is_perfect() -> None:
    statistics = SegmentationLoss().statistics(torch.tensor([[5.0, 0.0]]), torch.tensor([0]))
    assert region_similarity(statistics).item() == 1.0


def test_weights_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="not both 0"):
        LossConfig(cross_entropy=0, dice=0)
