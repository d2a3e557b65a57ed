"""States on a grid: what is stored is read back, sums lose nothing, and what leaves the range is seen."""

import pytest
import torch

from revseg.reversible.grid import DEFAULT_BITS, LARGEST_INTEGER, PIECE, Grid, pieces

CONTAINERS = [torch.float32, torch.int32, torch.int16]
FLOATING = [torch.float32, torch.float64]


def exact(dtype: torch.dtype) -> Grid:
    return Grid(dtype, DEFAULT_BITS[dtype])


def field(values: list[float], dtype: torch.dtype) -> torch.Tensor:
    """(T, H, W, C) with the values along T."""
    return torch.tensor(values).to(dtype)[:, None, None, None]


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
def test_kick_is_undone_bit_for_bit_over_the_whole_range(dtype):
    grid, generator = exact(dtype), torch.Generator().manual_seed(1)
    largest = LARGEST_INTEGER[dtype] // 8
    prev, curr = (torch.randint(-largest, largest + 1, (5, 4, 5, 5), generator=generator).to(dtype) for _ in range(2))
    force = torch.randn(5, 4, 5, 5, generator=generator) * largest
    state = prev.clone()
    grid.kick_(state, curr, force.clone())
    expected = 2 * curr.double() - prev.double() - torch.round(force).double()
    assert torch.equal(state.double(), expected)
    grid.kick_(state, curr, force.clone())  # symmetric in time
    assert torch.equal(state, prev)


@pytest.mark.parametrize("dtype", CONTAINERS)
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_kick_returns_the_largest_magnitude(dtype, convolution):
    prev, curr = field([0, 1, -3], dtype), field([0, 2, 1], dtype)
    reached = exact(dtype).kick_(prev, curr, field([0.4, 0.6, 12.0], convolution))
    assert prev.flatten().tolist() == [0, 2, -7]
    assert reached.shape == ()
    assert reached == 7


@pytest.mark.parametrize("dtype", CONTAINERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_a_force_out_of_range_is_seen(dtype, bad):
    reached = exact(dtype).kick_(field([0] * 3, dtype), field([0] * 3, dtype), field([0.0, bad, 0.0], torch.float32))
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
    velocity, curr, force = torch.randn(3, 2, 5, 1, 5, dtype=dtype, generator=torch.Generator().manual_seed(2)).unbind()
    kicked = velocity.clone()
    assert grid.kick_(kicked, curr, force.clone()) is None
    assert torch.equal(kicked, velocity - force)
    assert grid.kick_(kicked, curr, force.clone(), sign=-1) is None  # takes it back, up to rounding
    assert torch.allclose(kicked, velocity, rtol=0, atol=8 * torch.finfo(dtype).eps)
    assert grid.unit == 1.0
    assert grid.limit == float("inf")
    assert torch.equal(grid.load(grid.store(curr), dtype), curr)


@pytest.mark.parametrize("grid", [*map(exact, CONTAINERS), Grid(torch.float32, None)], ids=str)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_batch_is_kicked_sample_by_sample(grid, sign):
    generator = torch.Generator().manual_seed(4)
    partner, curr = ((torch.randn(3, 2, 5, 4, 3, generator=generator) * 100).to(grid.dtype) for _ in range(2))
    force = torch.randn(3, 2, 5, 4, 3, generator=generator) * 100
    together = partner.clone()
    reached = grid.kick_batch_(together, curr, force.clone(), sign=sign)
    each = [grid.kick_(*sample, sign=sign) for sample in zip(partner, curr, force, strict=True)]
    assert torch.equal(together, partner)
    assert reached is None if not grid.exact else reached == max(each)


@pytest.mark.parametrize("grid", [*map(exact, CONTAINERS), Grid(torch.float32, None), Grid(torch.float64, None)], ids=str)
def test_nearest_is_what_store_rounds_to_and_passes_gradients_through(grid):
    values = torch.randn(1000, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    nearest = grid.nearest(values)
    assert torch.equal(nearest.detach().to(grid.dtype), grid.load(grid.store(values.detach()), torch.float64).to(grid.dtype))
    (gradient,) = torch.autograd.grad(nearest.square().sum() / 2, values)
    assert torch.equal(gradient, nearest.detach())


SIZE = (5, 6, 4, 3)  # 12 elements a row, 72 a frame
PIECES = [1, 12, 30, 60, 71, 72, 150, 288, 360]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("part", [slice(None), slice(1, 5)])
def test_pieces_cover_each_position_once_and_keep_to_their_size(part, piece, monkeypatch):
    """Of whole fields and, as slabs have them, of some rows."""
    monkeypatch.setattr("revseg.reversible.grid.PIECE", piece)
    fields = [torch.zeros(SIZE)[:, part] for _ in range(3)]
    parts = list(pieces(*fields))
    for some in parts:
        assert len({tuple(one.shape) for one in some}) == 1
        assert 0 < some[0].numel() <= max(piece, 12)
        for one in some:
            one.add_(1)
    assert all(torch.equal(field, torch.ones_like(field)) for field in fields)
    assert (len(parts) == 1) == (piece >= fields[0].numel())


def test_a_piece_is_a_few_rows_or_frames():
    """What the processor's cache holds, in float32: 1 MiB of each field."""
    assert PIECE * 4 == 1 << 20
    assert len(list(pieces(torch.empty(8, 64, 64, 4)))) == 1
    assert len(list(pieces(torch.empty(9, 256, 256, 4)))) == 9
    assert [part.shape[1] for (part,) in pieces(torch.empty(1, 480, 512, 4))] == [128, 128, 128, 96]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("part", [slice(None), slice(1, 5)])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("grid", [*map(exact, CONTAINERS), Grid(torch.float32, None)], ids=str)
def test_kick_gives_the_same_bits_whatever_the_pieces(grid, convolution, part, piece, monkeypatch):
    generator, size = torch.Generator().manual_seed(3), 3000 if grid.exact else 1
    prev, curr = ((torch.randn(SIZE, generator=generator) * size).to(grid.dtype) for _ in range(2))
    force = (torch.randn(SIZE, generator=generator) * size).to(convolution)
    found = []
    for some in (1 << 30, piece):
        monkeypatch.setattr("revseg.reversible.grid.PIECE", some)
        state, beside, term = prev.clone(), curr.clone(), force.clone()
        reached = grid.kick_(state[:, part], beside[:, part], term[:, part])
        assert torch.equal(beside, curr)
        found.append((state, reached))
    (expected, magnitude), (state, reached) = found
    assert torch.equal(state, expected)
    assert not torch.equal(state[:, part], prev[:, part])
    assert torch.equal(state[:, :1], prev[:, :1]) == (part.start == 1)  # other rows are left alone
    if grid.exact:
        assert reached.dtype == magnitude.dtype
        assert reached == magnitude == state[:, part].double().abs().max()
    else:
        assert reached is magnitude is None


@pytest.mark.parametrize("piece", [1, 150, 360])
@pytest.mark.parametrize("dtype", CONTAINERS)
@pytest.mark.parametrize("at", [0, 180, 359])
def test_the_largest_magnitude_is_that_of_all_pieces(at, dtype, piece, monkeypatch):
    """Wherever it lies; and a force that is not a number, or out of range, hides in none."""
    monkeypatch.setattr("revseg.reversible.grid.PIECE", piece)
    grid = exact(dtype)
    for value in (-77.0, 77.0, float("nan"), float("inf"), -1e30):
        force = torch.ones(SIZE)
        force.view(-1)[at] = value
        reached = grid.kick_(torch.zeros(SIZE, dtype=dtype), torch.zeros(SIZE, dtype=dtype), force)
        if abs(value) == 77:
            assert reached == 77
        else:
            assert not reached <= LARGEST_INTEGER[dtype]


def test_load_never_hands_out_the_state_itself():
    stored = torch.ones(3)
    assert Grid(torch.float32, None).load(stored).data_ptr() != stored.data_ptr()


def test_containers_that_cannot_hold_the_arithmetic_are_refused():
    with pytest.raises(ValueError, match="use float32, int32 or int16"):
        Grid(torch.bfloat16, 8)
    with pytest.raises(ValueError, match="arithmetic=float needs state_dtype float32 or float64"):
        Grid(torch.int16, None)
