"""A state: both forms of the step, how they advance and retreat, its range and its checksum."""

import pytest
import torch

from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.state import State, scale_of

CONTAINERS = [torch.float32, torch.int32, torch.int16]
GRIDS = [*(Grid(dtype, DEFAULT_BITS[dtype]) for dtype in CONTAINERS), Grid(torch.float32, None), Grid(torch.float64, None)]
EACH = pytest.mark.parametrize("grid", GRIDS, ids=str)
EXACT = pytest.mark.parametrize("grid", GRIDS[:3], ids=str)
SHAPE = (2, 3, 4, 5, 6)  # N, C, T, H, W
FORCES = 30


def values(grid, seed=0, shape=SHAPE):
    """prev and curr on the grid, as (N, C, T, H, W)."""
    both = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return tuple(grid.load(grid.store(part), torch.float64) for part in both)


def forces(grid):
    """One for each step, in grid units, (N, T, H, W, C)."""
    n, c, *size = SHAPE
    return torch.randn(FORCES, n, *size, c, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.1 / grid.unit


@EACH
def test_values_are_what_was_stored(grid):
    prev, curr = values(grid)
    state = State.from_pair(prev, curr, grid)
    assert state.curr.shape == (2, 4, 5, 6, 3)
    assert all(part.is_contiguous() and part.dtype == grid.dtype for part in (state.partner, state.curr))
    tolerance = 0 if grid.exact else 8 * torch.finfo(grid.dtype).eps
    for got, expected in zip(state.pair(), (prev, curr), strict=True):
        assert got.dtype == (torch.float64 if grid.dtype == torch.float64 else torch.float32)
        assert (got - expected).abs().max() <= tolerance
    cut = state.values(torch.float64, lambda field: field[:, 1:3])
    for got, whole in zip(cut, state.values(torch.float64), strict=True):
        assert torch.equal(got, whole[:, 1:3])


@EACH
def test_memory_is_the_states_own(grid):
    prev, curr = (part.to(grid.dtype if grid.dtype.is_floating_point else torch.float32) for part in values(grid))
    before = prev.clone(), curr.clone()
    state = State.from_pair(prev, curr, grid)
    state.partner.zero_()
    state.curr.zero_()
    assert torch.equal(prev, before[0])
    assert torch.equal(curr, before[1])
    field = grid.store(curr).movedim(1, -1).contiguous()
    rest = State.at_rest(field, grid)
    assert rest.curr.data_ptr() == field.data_ptr() != rest.partner.data_ptr()
    assert all(torch.equal(one, other) for one, other in zip(rest.pair(), rest.pair()[::-1], strict=True))


@EACH
def test_steps_are_those_of_the_two_step_recurrence(grid):
    """next = 2 curr - prev - force, 30 times, and back: in float64 to rounding, on grids bit for bit."""
    prev, curr = values(grid)
    state = State.from_pair(prev, curr, grid)
    start = state.partner.clone(), state.curr.clone()
    for force in forces(grid):
        rounded = force.round() if grid.exact else force
        prev, curr = curr, 2 * curr - prev - grid.unit * rounded.movedim(-1, 1)
        state.watch_(grid.kick_batch_(state.partner, state.curr, force.to(torch.float64)))
        state.advance_()
    tolerance = 0 if grid.exact else 1e4 * torch.finfo(grid.dtype).eps
    for got, expected in zip(state.pair(), (prev, curr), strict=True):
        assert (got - expected).abs().max() <= tolerance
    for force in reversed(forces(grid)):
        state.retreat_()
        grid.kick_batch_(state.partner, state.curr, force, sign=-1)
    for got, expected in zip((state.partner, state.curr), start, strict=True):
        assert (got.double() - expected.double()).abs().max() <= tolerance


def test_the_velocity_form_loses_less_than_differences_of_fields():
    """A field that moves by a thousandth of its size a step: 200 steps in float32 against float64."""
    dtype, generator = torch.float32, torch.Generator().manual_seed(0)
    curr, force = torch.randn(2, 1, 4, 4, 4, 4, generator=generator, dtype=torch.float64)
    velocity, force = 1e-3 * force, 1e-6 * force
    state = State(velocity.to(dtype), curr.to(dtype), Grid(dtype, None))
    differences = [(curr - velocity).to(dtype), curr.to(dtype)]
    truth = [curr - velocity, curr]
    for _ in range(200):
        state.grid.kick_batch_(state.partner, state.curr, force.to(dtype))
        state.advance_()
        differences = [differences[1], 2 * differences[1] - differences[0] - force.to(dtype)]
        truth = [truth[1], 2 * truth[1] - truth[0] - force]
    ours, other = ((part.double() - truth[1]).norm() for part in (state.curr, differences[1]))
    assert ours < other / 10


@EXACT
def test_advance_and_retreat_swap_names_on_a_grid(grid):
    state = State.from_pair(*values(grid), grid)
    partner, curr = state.partner, state.curr
    state.advance_()
    assert state.partner is curr
    assert state.curr is partner
    state.retreat_()
    assert state.partner is partner
    assert state.curr is curr


@EXACT
def test_the_largest_magnitude_is_kept(grid):
    state = State.from_pair(*values(grid), grid)
    state.watch_fields_()
    first = state.range
    assert first == max(state.partner.double().abs().max(), state.curr.double().abs().max())
    state.curr.zero_()
    state.partner.zero_()
    state.watch_fields_()
    state.watch_(None)
    assert state.range == first
    state.watch_(torch.tensor(float("nan"), dtype=torch.float64))
    state.watch_fields_()
    assert state.range.isnan()


def test_floating_point_has_no_range_and_no_checksum():
    state = State.from_pair(*values(GRIDS[-1]), GRIDS[-1])
    state.watch_fields_()
    assert state.range is None
    assert state.checksum() is None


@pytest.fixture(params=[3, 1 << 17])
def checked(request, monkeypatch):
    """Words of a piece: several, the last shorter; all in one."""
    monkeypatch.setattr("revseg.reversible.state.CHECKED", {"cpu": request.param})


@EXACT
@pytest.mark.usefixtures("checked")
@pytest.mark.parametrize("size", [1, 5, 6])
def test_a_checksum_notices_each_change(grid, size):
    """Of one value, by one unit; of two, by opposite amounts; of the order of two neighbours; in either field."""
    prev, curr = values(grid, shape=(1, 1, 1, size, 7))
    state = State.from_pair(prev, curr, grid)
    before = state.checksum()
    assert before.shape == (2,)
    assert before.dtype == torch.int64
    for number, field in enumerate((state.partner, state.curr)):
        flat = field.view(-1)
        for at in range(len(flat)):
            kept = flat.clone()
            changes = [flat.clone() for _ in range(3)]
            changes[0][at] += 1
            other = (at + 2) % len(flat)
            changes[1][at] += 1
            changes[1][other] -= 1
            neighbour = (at + 1) % len(flat)
            changes[2][[at, neighbour]] = changes[2][[neighbour, at]]
            for changed in changes:
                flat.copy_(changed)
                after = state.checksum()
                assert (after[number] == before[number]) == torch.equal(changed, kept)
                assert after[1 - number] == before[1 - number]
            flat.copy_(kept)
    assert torch.equal(state.checksum(), before)


def test_a_checksum_does_not_tell_zero_from_minus_zero():
    """float32 has both, and the recurrence may end at either."""
    fields = torch.zeros(1, 1, 1, 1, 4), -torch.zeros(1, 1, 1, 1, 4)
    sums = [State(field, field, GRIDS[0]).checksum() for field in fields]
    assert torch.equal(*sums)


@pytest.mark.parametrize("largest", [1e-30, 1e-4, 0.7, 1.0, 1.5, 3e4, 1e30])
def test_adjoints_are_scaled_by_a_power_of_two_to_about_one(largest):
    scale = scale_of(torch.tensor(largest)).item()
    assert 0.7 <= scale * largest <= 1.42
    assert torch.frexp(torch.tensor(scale))[0] == 0.5


@pytest.mark.parametrize("largest", [0.0, float("inf"), float("nan")])
def test_what_has_no_scale_is_left_alone(largest):
    assert scale_of(torch.tensor(largest)) == 1
