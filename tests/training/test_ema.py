"""The moving average, by hand."""

import pytest
import torch
from torch import nn

from revseg.training.ema import WeightAverage


def net_of(value: float) -> nn.Module:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, value)
    return net


def set_to(net: nn.Module, value: float) -> None:
    with torch.no_grad():
        net.weight.fill_(value)  # type: ignore[union-attr,operator]


def test_average_by_hand() -> None:
    net = net_of(1.0)
    average = WeightAverage(net, 0.5)
    set_to(net, 2.0)
    average.update(net, step=1)  # d = min(0.5, 2 / 11)
    first = 1 * 2 / 11 + 2 * 9 / 11
    assert average.weights["weight"].item() == pytest.approx(first)
    average.update(net, step=1000)  # d = 0.5
    assert average.weights["weight"].item() == pytest.approx((first + 2) / 2)


def test_applied_for_a_while() -> None:
    net = net_of(1.0)
    average = WeightAverage(net, 0.5)
    set_to(net, 2.0)
    with average.applied(net):
        assert net.weight.item() == 1.0  # type: ignore[union-attr,operator]
    assert net.weight.item() == 2.0  # type: ignore[union-attr,operator]
    assert average.weights["weight"].item() == 1.0


def test_decay_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"training.ema is 1"):
        WeightAverage(net_of(1.0), 1.0)
