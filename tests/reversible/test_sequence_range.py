"""A state that leaves the range of its container stops the sequence, wherever it leaves it."""

import pytest
import torch

from tests.reversible.sequences import build, exact, layers_of, start


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9, "beyond"])
@pytest.mark.parametrize("depths", [(0,), (2,), (0, 0), (0, 1)])
def test_a_start_out_of_range_stops(depths, value, container):
    sequence = build(depths, grid=exact(container), convolution=torch.float32)
    state = start(sequence, (1, 2, 2, 2, 2))
    state[1][0, 0, 1, 1, 1] = sequence.grid.limit * 1.01 if value == "beyond" else value
    with pytest.raises(OverflowError, match=r"lower network.step_size, network.grid_bits .* or network.depth"):
        sequence(*state)


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
def test_growth_out_of_range_stops_with_what_to_lower(container):
    """A state that drifts: c - p is added at each block."""
    sequence = build((40,), grid=exact(container), convolution=torch.float32, step_size=0.25, scale=0.0)
    prev, curr = (torch.full((1, 2, 2, 2, 2), sequence.grid.limit * part) for part in (0.1, 0.15))
    name = str(container).removeprefix("torch.")
    with pytest.raises(
        OverflowError,
        match=rf"state reached .* beyond .* {name} .*; lower network.step_size, network.grid_bits \(now {sequence.grid.bits}\)",
    ):
        sequence(prev, curr)


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
def test_a_change_of_level_out_of_range_stops(container):
    """Constant fields grow by sqrt 8 per level; no leapfrog is there to see it."""
    sequence = build((0, 0, 0), grid=exact(container))
    state = (torch.full((1, 2, 4, 4, 4), sequence.grid.limit / 4),) * 2
    with pytest.raises(OverflowError, match="beyond"):
        sequence(*state)
    small = (torch.full((1, 2, 4, 4, 4), float(sequence.grid.limit // 16)),) * 2
    assert all(torch.equal(a, b) for a, b in zip(sequence.inverse(*sequence(*small)), small, strict=True))


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("name", ["kernel", "bias"])
def test_weights_that_are_not_finite_stop(name, container):
    sequence = build((0, 1), grid=exact(container), convolution=torch.float32)
    with torch.no_grad():
        getattr(layers_of(sequence)[0], name)[0] = float("nan")
    with pytest.raises(OverflowError, match="the state reached"):
        sequence(*start(sequence, (1, 2, 2, 2, 2)))


@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("depths", [(40,), (0, 0, 0)])
def test_an_inverse_out_of_range_stops(depths, container):
    """A state that drifts the other way; constant fields that the undoing of a refinement makes larger."""
    sequence = build(depths, grid=exact(container), convolution=torch.float32, scale=0.0)
    prev, curr = (torch.full((1, 2, 4, 4, 4), sequence.grid.limit * share) for share in (0.3, 0.25))
    with pytest.raises(OverflowError, match="the state reached .*, beyond"):
        sequence.inverse(prev, curr)


@pytest.mark.parametrize("size", [(3, 4, 4), (4, 3, 4), (4, 4, 3)])
@pytest.mark.parametrize("depths", [(1, 1), (1, 1, 1)])
def test_sizes_that_do_not_divide_are_refused(size, depths):
    """Before anything is computed: the sizes that a sequence needs are known when it is built."""
    sequence = build(depths)
    multiple = 2 ** (len(depths) - 1)
    sentence = f"{' x '.join(map(str, size))}; this sequence needs T, H and W divisible by {multiple}, {multiple} and {multiple}"
    with pytest.raises(ValueError, match=sentence):
        sequence(*start(sequence, (1, 2, *size)))
