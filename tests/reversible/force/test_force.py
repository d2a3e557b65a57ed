"""What the choice of an implementation looks at, and what every implementation shares."""

import pytest
import torch

from revseg.reversible.force.convolution import ConvolutionForce
from revseg.reversible.force.force import total_of
from revseg.reversible.force.product import ProductForce
from tests.reversible.force.forces import DOUBLE, fields, layout_of, passes, weights


@pytest.mark.parametrize(("channels", "rank", "kept"), [(8, 4, True), (7, 4, False), (4, 4, False), (2, 1, True)])
@pytest.mark.parametrize("kind", [ConvolutionForce, ProductForce])
def test_hidden_activations_are_kept_where_channels_are_twice_the_rank(kind, channels, rank, kept, monkeypatch):
    monkeypatch.setattr("revseg.reversible.force.slab.slab_size", lambda *_, **__: (2, 7))
    kernel, bias = weights(rank, channels, (3, 3, 3))
    layout = layout_of(kernel)
    assert layout.keeps_hidden is kept
    made, start, keep = kind(kernel, bias, 0.7, layout), fields(channels), []
    got, expected = passes(made, start, DOUBLE, keep), passes(made, start, DOUBLE)
    slabs = 3 if kind is ConvolutionForce else 1
    assert [len(sample) for sample in keep] == [slabs if kept else 0]
    assert all(map(torch.equal, got, expected))


def test_reach_of_a_layout():
    assert layout_of(torch.empty(4, 2, 1, 3, 5)).radii == (0, 1, 2)


def test_totals_count_none_as_zero():
    one, other = torch.ones(2), torch.ones(2)
    assert total_of(None, None) is None
    assert total_of(one, None) is one
    assert total_of(None, other) is other
    assert total_of(one, other) is one
    assert one.tolist() == [2, 2]
