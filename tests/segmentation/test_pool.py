"""Two opinions become one."""

import pytest
import torch

from revseg.evidence.config import PoolConfig
from revseg.segmentation.pool import pool

CONFIG = PoolConfig(of_one_frame=0.25, detail=2.0)
LEAST = CONFIG.least


def planes(*values: float) -> torch.Tensor:
    """(O, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)


def pooled(network: torch.Tensor, evidence: torch.Tensor, label_count: int, seen: tuple[int, int]) -> torch.Tensor:
    return pool(network, evidence, label_count=label_count, seen=seen, config=CONFIG)


def test_geometric_means() -> None:
    """One labelled frame: (0.8 / 0.2)^(1/4) to 1, sqrt(2) to 1; three: (0.8 / 0.2)^(3/4), 2 sqrt(2) to 1."""
    found = pooled(planes(0.2, 0.8), planes(0.5, 0.5), 1, (1, 1))
    assert (found[1] / found[0]).item() == pytest.approx(2**0.5, rel=1e-5)
    found = pooled(planes(0.2, 0.8), planes(0.5, 0.5), 3, (1, 1))
    assert (found[1] / found[0]).item() == pytest.approx(2 * 2**0.5, rel=1e-5)


def test_more_labels_more_say() -> None:
    words = [pooled(planes(0.9, 0.1), planes(0.1, 0.9), count, (1, 1))[0].item() for count in (1, 2, 5, 9)]
    assert words[0] == pytest.approx(1 / (1 + 9**0.5))  # (1/9)^(3/4 - 1/4)
    assert words == sorted(words)
    assert len(set(words)) == 4


def test_of_several_objects_the_one_that_both_hold_possible() -> None:
    assert pooled(planes(0.55, 0.45, 0), planes(0, 0.45, 0.55), 2, (1, 1)).flatten().argmax() == 1


def test_where_evidence_says_nothing_the_network_decides() -> None:
    found = pooled(planes(0.3, 0.7), planes(0, 0), 4, (1, 1))
    assert (found[1] / found[0]).item() == pytest.approx((7 / 3) ** 0.8, rel=1e-5)


def test_no_certainty_is_absolute() -> None:
    found = pooled(planes(1, 0), planes(0, 1), 2, (1, 1))
    assert (found[0] / found[1]).item() == pytest.approx(LEAST ** (1 / 3 - 2 / 3), rel=1e-3)
    assert torch.isfinite(pooled(planes(1, 0), planes(1, 0), 1, (1, 1))).all()
    assert pooled(planes(1, 0), planes(1, 0), 1, (1, 1))[1].item() == pytest.approx(LEAST, rel=1e-2)


def test_what_is_too_thin_to_be_seen_is_not_for_the_network_to_judge() -> None:
    """A line one of eight pixels wide, seen as 1/8 of a pixel; beside it a half that is seen as it is."""
    evidence = torch.zeros(8, 32)
    evidence[:, 4], evidence[:, 16:] = 0.9, 0.9
    evidence = torch.stack([1 - evidence, evidence])
    network = planes(0.9, 0.1).expand(2, 8, 32)
    blind, seeing = (
        pooled(network, evidence, 5, (1, 4))[1, 0],
        pooled(network, evidence, 5, (8, 32))[1, 0],
    )
    assert blind[4] > 0.5 > seeing[4]
    assert blind[28] == pytest.approx(seeing[28].item(), rel=1e-5)
    assert seeing[28] < 0.5


def test_settings_of_the_pool() -> None:
    """The share of one frame, the floor, and how far the network may judge what it cannot see."""
    network, evidence = planes(0.2, 0.8), planes(0.5, 0.5)
    found = pool(network, evidence, label_count=1, seen=(1, 1), config=PoolConfig(of_one_frame=1.0))
    assert torch.allclose(found, network)
    found = pool(planes(1, 0), planes(0, 1), label_count=2, seen=(1, 1), config=PoolConfig(least=0.1))
    assert (found[0] / found[1]).item() == pytest.approx(0.1 ** (1 / 3 - 2 / 3), rel=1e-3)
    line = torch.zeros(2, 8, 32)
    line[1, :, 4] = 0.9
    line[0] = 1 - line[1]
    network = network.expand(2, 8, 32)
    settings = ((8, 32), 2.0), ((1, 4), 0.0)
    seen, unseen = (pool(network, line, label_count=5, seen=size, config=PoolConfig(detail=detail)) for size, detail in settings)
    assert torch.allclose(seen, unseen)
