"""Slabs: they cover each position once, and computing slab by slab equals computing at once."""

import pytest
import torch

from revseg.reversible.slab import Slab, slab_size, slabs

RADII = pytest.mark.parametrize("radius", [0, 1, 2])
BUDGETS = [1, 10_000, 30_000, 100_000, 1 << 30]
SHAPE = (7, 10, 6, 2)


def box_sum(field, radius, padding):
    """Sum over a (2 radius + 1)^3 neighbourhood: the convolution whose kernel is all ones."""
    size = 2 * radius + 1
    batch = field.permute(3, 0, 1, 2)[:, None]
    kernel = torch.ones(1, 1, size, size, size, dtype=field.dtype)
    return torch.nn.functional.conv3d(batch, kernel, padding=padding)[:, 0].permute(1, 2, 3, 0)


@RADII
@pytest.mark.parametrize("budget", BUDGETS)
def test_each_position_belongs_to_exactly_one_slab(radius, budget):
    count = torch.zeros(SHAPE)
    for slab in slabs(SHAPE, radius, 20, budget):
        slab.core(count).add_(1)
    assert torch.equal(count, torch.ones(SHAPE))


def test_budgets_give_whole_fields_frames_and_rows():
    """The sizes that the other tests rely on do occur."""
    parts = {budget: list(slabs(SHAPE, 1, 20, budget)) for budget in BUDGETS}
    assert len(parts[1 << 30]) == 1
    assert len({(part.top, part.bottom) for part in parts[1]}) > 1
    assert any(len(p) > 1 and not p[0].splits_height for p in parts.values())


@RADII
@pytest.mark.parametrize("budget", BUDGETS)
def test_two_convolutions_slab_by_slab_equal_those_of_the_whole_field(radius, budget):
    """Both are zero-padded at the border of the field: read() and clear_halo_() put the zeros there."""
    field = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = (radius, radius, radius)
    expected = box_sum(box_sum(field, radius, whole) + 1, radius, whole)
    result = torch.full(SHAPE, float("nan"), dtype=torch.float64)
    for slab in slabs(SHAPE, radius, 20, budget):
        hidden = slab.clear_halo_(box_sum(slab.read(field, torch.float64), radius, slab.padding) + 1)
        slab.core(result).copy_(box_sum(hidden, radius, slab.padding))
    assert torch.allclose(result, expected, rtol=1e-12)


@RADII
def test_inner_of_what_was_read_is_the_core_with_one_convolutions_halo(radius):
    field = torch.randn(SHAPE)
    slab = Slab(3, 5, 4, 7, 7, 10, radius)
    inner = slab.inner(slab.read(field, torch.float32))
    expected = torch.nn.functional.pad(field, (0, 0, 0, 0, radius, radius, radius, radius))
    assert torch.equal(inner, expected[3 : 5 + 2 * radius, 4 : 7 + 2 * radius])


def test_read_casts_and_fills_with_zeros_outside():
    field = torch.ones(2, 3, 1, 1, dtype=torch.int16)
    part = Slab(0, 2, 0, 3, 2, 3, 1).read(field, torch.bfloat16)
    assert part.dtype == torch.bfloat16
    assert part[:, :, 0, 0].sum(1).tolist() == [0, 0, 3, 3, 0, 0]


@pytest.mark.parametrize("budget", [20_000, 50_000, 200_000])
def test_slabs_keep_to_the_budget(budget):
    frames, height, width = 48, 64, 10
    length, rows = slab_size((frames, height, width, 4), 1, 2, budget)
    haloed_rows = height if rows == height else rows + 4
    assert (length + 4) * haloed_rows * width * 2 <= budget


def test_a_field_smaller_than_the_halo_is_one_slab():
    (slab,) = slabs((1, 1, 1, 3), 2, 100, 1)
    hidden = slab.clear_halo_(torch.ones(3 + 2, 1, 1, 1))
    assert hidden.flatten().tolist() == [0, 0, 1, 0, 0]
