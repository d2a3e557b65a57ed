"""Slabs: they cover each position once, and computing slab by slab equals computing at once."""

import pytest
import torch

from revseg.reversible.force.slab import Slab, slab_size, slabs

RADII = pytest.mark.parametrize("radii", [(0, 0, 0), (1, 1, 1), (2, 2, 2), (0, 1, 2), (1, 2, 0), (2, 0, 1)])
BUDGETS = [1, 8_000, 10_000, 13_000, 1 << 30]
SHAPE = (7, 10, 6, 2)
SHAPES = pytest.mark.parametrize("shape", [SHAPE, (12, 10, 6, 2)])
# Frames and rows of each slab; 12 frames or more are all, 10 rows or more too.
TILINGS = [(12, 10), (3, 10), (1, 10), (12, 4), (12, 1), (3, 4), (6, 9), (1, 1)]


def box_sum(field, radii, padding):
    """Sum over a neighbourhood of 2 r + 1 positions along each axis: the convolution whose kernel is all ones."""
    batch = field.permute(3, 0, 1, 2)[:, None]
    kernel = torch.ones(1, 1, *(2 * radius + 1 for radius in radii), dtype=field.dtype)
    return torch.nn.functional.conv3d(batch, kernel, padding=padding)[:, 0].permute(1, 2, 3, 0)


@RADII
@SHAPES
@pytest.mark.parametrize("budget", BUDGETS)
def test_each_position_belongs_to_exactly_one_slab(shape, radii, budget):
    count = torch.zeros(shape)
    for slab in slabs(shape, radii, 20, budget):
        slab.core(count).add_(1)
    assert torch.equal(count, torch.ones(shape))


def test_budgets_give_whole_fields_frames_and_rows():
    """The sizes that the other tests rely on do occur: (splits T, splits H)."""
    first = {(frames, budget): next(slabs((frames, 10, 6, 2), (1, 1, 1), 20, budget)) for frames in (7, 12) for budget in BUDGETS}
    split = {key: (slab.splits_time, slab.splits_height) for key, slab in first.items()}
    assert split[7, 1] == split[12, 1] == (True, True)
    assert split[7, 8_000] == (False, True)
    assert split[7, 10_000] == (False, False)
    assert split[12, 13_000] == (True, False)
    assert split[7, 1 << 30] == split[12, 1 << 30] == (False, False)


@RADII
@SHAPES
@pytest.mark.parametrize("budget", BUDGETS)
def test_two_convolutions_slab_by_slab_equal_those_of_the_whole_field(shape, radii, budget):
    """Both are zero-padded at the border of the field: read() and clear_halo_() put the zeros there."""
    assert_convolutions_equal_those_of_the_whole_field(shape, radii, lambda: slabs(shape, radii, 20, budget))


@RADII
@SHAPES
@pytest.mark.parametrize("tiling", TILINGS)
def test_so_do_slabs_of_any_size(tiling, shape, radii, monkeypatch):
    """Of all frames, where the zeros along T are the convolutions' own, and of some, where they are read."""
    monkeypatch.setattr("revseg.reversible.force.slab.slab_size", lambda *_, **__: tiling)
    first = next(slabs(shape, radii, 20, 0))
    assert (first.splits_time, first.splits_height) == (tiling[0] < shape[0], tiling[1] < shape[1])
    assert_convolutions_equal_those_of_the_whole_field(shape, radii, lambda: slabs(shape, radii, 20, 0))


def assert_convolutions_equal_those_of_the_whole_field(shape, radii, parts):
    field = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once = box_sum(field, radii, radii) + 1
    twice = box_sum(once, radii, radii)
    inner, result = (torch.full(shape, float("nan"), dtype=torch.float64) for _ in range(2))
    for slab in parts():
        hidden = slab.clear_halo_(box_sum(slab.read(field, torch.float64), radii, slab.padding) + 1)
        slab.core(inner).copy_(slab.inner(hidden))
        slab.core(result).copy_(box_sum(hidden, radii, slab.padding))
    assert torch.allclose(inner, once, rtol=1e-12)
    assert torch.allclose(result, twice, rtol=1e-12)


@RADII
def test_inner_of_what_was_read_is_the_core_with_one_convolutions_halo(radii):
    field, (t, h, _) = torch.randn(SHAPE), radii
    slab = Slab(3, 5, 4, 7, 7, 10, radii)
    inner = slab.inner(slab.read(field, torch.float32))
    expected = torch.nn.functional.pad(field, (0, 0, 0, 0, h, h, t, t))
    assert torch.equal(inner, expected[3 : 5 + 2 * t, 4 : 7 + 2 * h])


@RADII
@pytest.mark.parametrize(("top", "bottom"), [(0, 10), (0, 4), (4, 7), (7, 10)])
def test_a_slab_of_all_frames_has_no_halo_along_time(top, bottom, radii):
    field, slab = torch.randn(SHAPE), Slab(0, 7, top, bottom, 7, 10, radii)
    rows = 2 * radii[1] if slab.splits_height else 0
    padded = torch.nn.functional.pad(field, (0, 0, 0, 0, rows, rows))
    part = slab.read(field, torch.float32)
    assert torch.equal(part, padded[:, top : bottom + 2 * rows])
    assert part.data_ptr() != field.data_ptr()
    assert slab.padding == (radii[0], 0 if slab.splits_height else radii[1], radii[2])
    hidden = slab.clear_halo_(torch.ones(7, bottom - top + rows, 6, 1))
    outside = [position < 0 or position >= 10 for position in range(top - rows // 2, bottom + rows // 2)]
    assert (hidden == 0).all((0, 2, 3)).tolist() == outside
    assert (hidden == 1).all((0, 2, 3)).tolist() == [not out for out in outside]
    assert slab.inner(hidden).shape == (7, bottom - top, 6, 1)


def test_read_casts_and_fills_with_zeros_outside():
    field = torch.ones(2, 3, 1, 1, dtype=torch.int16)
    for start, expected in ((0, [0, 0, 3, 3, 0]), (1, [0, 3, 3, 0, 0])):
        part = Slab(start, start + 1, 0, 3, 2, 3, (1, 1, 1)).read(field, torch.bfloat16)
        assert part.dtype == torch.bfloat16
        assert part[:, :, 0, 0].sum(1).tolist() == expected
    part = Slab(0, 2, 0, 3, 2, 3, (1, 1, 1)).read(field, torch.bfloat16)
    assert part.dtype == torch.bfloat16
    assert part[:, :, 0, 0].sum(1).tolist() == [3, 3]


@pytest.mark.parametrize("budget", [20_000, 50_000, 62_000, 200_000])
def test_slabs_keep_to_the_budget(budget):
    frames, height, width = 48, 64, 10
    length, rows = slab_size((frames, height, width, 4), (1, 1, 1), 2, budget)
    haloed_frames = frames if length == frames else length + 4
    haloed_rows = height if rows == height else rows + 4
    assert haloed_frames * haloed_rows * width * 2 <= budget


def test_all_frames_need_no_room_for_a_halo():
    frames, height, width = 48, 64, 10
    whole = frames * height * width * 2
    assert slab_size((frames, height, width, 4), (1, 1, 1), 2, whole) == (frames, height)
    assert slab_size((frames, height, width, 4), (1, 1, 1), 2, whole - 1) != (frames, height)


def test_an_axis_of_one_tap_needs_no_room_for_a_halo():
    """A slab of 1 x 3 x 3 kernels may be split along T for nothing; with 3 taps there it would be 4 frames longer."""
    room = 6 * 64 * 10 * 2
    assert slab_size((48, 64, 10, 4), (0, 1, 1), 2, room) == (6, 64)
    assert slab_size((48, 64, 10, 4), (1, 1, 1), 2, room)[1] < 64


def test_few_frames_are_kept_together():
    """A halo along T would be 2 frames for each 1: rows are split instead."""
    length, rows = slab_size((2, 64, 10, 4), (1, 1, 1), 2, 2 * 32 * 10 * 2)
    assert length == 2
    assert 16 <= rows < 32


def test_a_field_smaller_than_the_halo():
    """One frame is all: no halo along T. Each of two has a halo that reaches over both ends."""
    (slab,) = slabs((1, 1, 1, 3), (2, 2, 2), 100, 1)
    assert slab.padding == (2, 2, 2)
    assert slab.read(torch.ones(1, 1, 1, 3), torch.float32).shape == (1, 1, 1, 3)
    assert slab.clear_halo_(torch.ones(1, 1, 1, 1)).flatten().tolist() == [1]
    assert slab.inner(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)
    hidden = Slab(0, 1, 0, 1, 2, 1, (2, 2, 2)).clear_halo_(torch.ones(1 + 4, 1, 1, 1))
    assert hidden.flatten().tolist() == [0, 0, 1, 1, 0]
