"""Two opinions become one."""

import pytest
import torch

from revseg.prediction.pool import LEAST, pool


def planes(*values: float) -> torch.Tensor:
    """(O, 1, 1)."""
    return torch.tensor(values).view(-1, 1, 1)


def test_geometric_means() -> None:
    """One labelled frame: sqrt(0.8 x 0.5) to sqrt(0.2 x 0.5), that is 2 to 1; three: (0.8 / 0.2)^(3/4)."""
    found = pool(planes(0.2, 0.8), planes(0.5, 0.5), 1)
    assert found.flatten().tolist() == pytest.approx([1 / 3, 2 / 3], abs=1e-6)
    found = pool(planes(0.2, 0.8), planes(0.5, 0.5), 3)
    assert (found[1] / found[0]).item() == pytest.approx(4**0.75, rel=1e-5)


def test_more_labels_more_say() -> None:
    words = [pool(planes(0.9, 0.1), planes(0.1, 0.9), count)[0].item() for count in (1, 2, 5, 9)]
    assert words[0] == pytest.approx(0.5)
    assert words == sorted(words)
    assert len(set(words)) == 4


def test_of_several_objects_the_one_that_both_hold_possible() -> None:
    assert pool(planes(0.55, 0.45, 0), planes(0, 0.45, 0.55), 1).flatten().argmax() == 1


def test_where_evidence_says_nothing_the_network_decides() -> None:
    found = pool(planes(0.3, 0.7), planes(0, 0), 1)
    assert (found[1] / found[0]).item() == pytest.approx((7 / 3) ** 0.5, rel=1e-5)


def test_no_certainty_is_absolute() -> None:
    found = pool(planes(1, 0), planes(0, 1), 1)
    assert found.flatten().tolist() == pytest.approx([0.5, 0.5])
    assert torch.isfinite(pool(planes(1, 0), planes(1, 0), 1)).all()
    assert pool(planes(1, 0), planes(1, 0), 1)[1].item() == pytest.approx(LEAST, rel=1e-2)
