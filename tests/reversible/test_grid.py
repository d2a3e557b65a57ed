"""States on a grid: what is stored is read back, sums lose nothing, and what leaves the range is seen."""

import pytest
import torch

from revseg.reversible.grid import DEFAULT_BITS, LARGEST_INTEGER, Grid

CONTAINERS = [torch.float32, torch.int32, torch.int16]
FLOATING = [torch.float32, torch.float64]


def exact(dtype: torch.dtype) -> Grid:
    return Grid(dtype, DEFAULT_BITS[dtype])


@pytest.mark.parametrize("dtype", CONTAINERS)
def test_store_rounds_to_the_nearest_grid_point_and_load_gives_it_back(dtype):
    grid, values = exact(dtype), torch.randn(1000, generator=torch.Generator().manual_seed(0))
    stored = grid.store(values)
    assert stored.dtype == dtype
    loaded = grid.load(stored)
    assert (loaded - values).abs().max() <= grid.unit / 2
    assert torch.equal(grid.store(loaded), stored)


def test_store_of_known_values():
    grid = Grid(torch.int16, 2)
    assert grid.unit == 0.25
    assert grid.store(torch.tensor([1.0, -0.3, 0.1, 5.13])).tolist() == [4, -1, 0, 21]


@pytest.mark.parametrize("dtype", CONTAINERS)
def test_leapfrog_is_undone_bit_for_bit_over_the_whole_range(dtype):
    grid, generator = exact(dtype), torch.Generator().manual_seed(1)
    largest = LARGEST_INTEGER[dtype] // 8
    prev, curr = (
        torch.randint(-largest, largest + 1, (500,), generator=generator).to(dtype) for _ in range(2)
    )
    force = torch.randn(500, generator=generator) * largest
    state = prev.clone()
    grid.leapfrog_(state, curr, force.clone())
    expected = 2 * curr.double() - prev.double() - torch.round(force).double()
    assert torch.equal(state.double(), expected)
    grid.leapfrog_(state, curr, force.clone())  # symmetric in time
    assert torch.equal(state, prev)


@pytest.mark.parametrize("dtype", CONTAINERS)
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_leapfrog_returns_the_largest_magnitude(dtype, convolution):
    prev, curr = torch.tensor([0, 1, -3]).to(dtype), torch.tensor([0, 2, 1]).to(dtype)
    reached = exact(dtype).leapfrog_(prev, curr, torch.tensor([0.4, 0.6, 12.0], dtype=convolution))
    assert prev.tolist() == [0, 2, -7]
    assert reached == 7


@pytest.mark.parametrize("dtype", CONTAINERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_force_out_of_range_is_seen(dtype, bad):
    reached = exact(dtype).leapfrog_(
        torch.zeros(3, dtype=dtype), torch.zeros(3, dtype=dtype), torch.tensor([0.0, bad, 0.0])
    )
    assert not reached <= LARGEST_INTEGER[dtype]


@pytest.mark.parametrize("dtype", CONTAINERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_a_value_out_of_range_is_seen_after_store(dtype, bad):
    grid = exact(dtype)
    assert not grid.magnitude(grid.store(torch.tensor([0.0, bad]))) <= LARGEST_INTEGER[dtype]


@pytest.mark.parametrize("dtype", CONTAINERS)
def test_the_limit_itself_is_stored_exactly_and_accepted(dtype):
    grid = exact(dtype)
    stored = grid.store(torch.tensor([grid.limit, -grid.limit]))
    assert grid.magnitude(stored) == LARGEST_INTEGER[dtype]
    assert grid.load(stored).tolist() == [grid.limit, -grid.limit]


@pytest.mark.parametrize("dtype", FLOATING)
def test_floating_point_has_no_grid(dtype):
    grid = Grid(dtype, None)
    prev, curr, force = torch.randn(3, 50, dtype=dtype, generator=torch.Generator().manual_seed(2)).unbind()
    following = prev.clone()
    assert grid.leapfrog_(following, curr, force.clone()) is None
    assert torch.allclose(following, 2 * curr - prev - force, rtol=0, atol=8 * torch.finfo(dtype).eps)
    assert grid.unit == 1.0
    assert grid.limit == float("inf")
    assert torch.equal(grid.load(grid.store(prev), dtype), prev)


def test_load_never_hands_out_the_state_itself():
    stored = torch.ones(3)
    assert Grid(torch.float32, None).load(stored).data_ptr() != stored.data_ptr()


def test_containers_that_cannot_hold_the_arithmetic_are_refused():
    with pytest.raises(ValueError, match="use float32, int32 or int16"):
        Grid(torch.bfloat16, 8)
    with pytest.raises(ValueError, match="arithmetic=float needs state_dtype float32 or float64"):
        Grid(torch.int16, None)
