"""prev <- 2 curr - prev - round(K^T a): rounding, range and containers."""

import pytest
import torch

from revseg.reversible.grid import Grid
from revseg.reversible.slab import Slab

pytestmark = pytest.mark.slow

WHOLE = Slab(0, 2, 0, 3, 2, 3, 1)


def one_to_one(device: torch.device) -> torch.Tensor:
    """K^T that hands hidden channel c to field channel c, in place."""
    kernel = torch.zeros(16, 16, 3, 3, 3, device=device)
    kernel[range(16), range(16), 1, 1, 1] = 1
    return kernel


def workspace(force: torch.Tensor) -> torch.Tensor:
    """Hidden activations that become ``force``; nan where the kernel must not read."""
    hidden = torch.full((4, 5, *force.shape[2:]), torch.nan, dtype=torch.bfloat16, device=force.device)
    hidden[1:-1, 1:-1] = force
    return hidden


def step_(prev, curr, force, exact):
    from revseg.reversible.kernels.leapfrog import leapfrog_, transposed_weight
    from revseg.reversible.kernels.tile import tile_of

    weight = transposed_weight(one_to_one(prev.device), 16)
    return leapfrog_(prev, curr, workspace(force), weight, WHOLE, tile_of("leapfrog", 16, 16), exact)


def integers(dtype: torch.dtype, seed: int, device: torch.device) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-9000, 9000, (2, 3, 5, 16), generator=generator).to(dtype).to(device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int16])
def test_rounds_half_to_even_and_gives_the_bits_of_the_grid(dtype, device):
    grid = Grid(dtype, 8)
    prev, curr = integers(dtype, 0, device), integers(dtype, 1, device)
    halves = torch.arange(2 * 3 * 5 * 16, device=device).view(2, 3, 5, 16).remainder(41) - 20
    force = halves.float() / 2  # ..., -1.5, -1, -0.5, 0, 0.5, ...
    expected = prev.clone()
    reached = grid.leapfrog_(expected, curr, force.clone())

    before = prev.clone()
    magnitude = step_(prev, curr, force, True)
    assert torch.equal(prev, expected)
    assert float(magnitude) == float(reached)

    step_(prev, curr, force, True)
    assert torch.equal(prev, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_a_force_out_of_range_is_reported(dtype, bad, device):
    force = torch.zeros(2, 3, 5, 16, device=device)
    force[1, 2, 4, 15] = bad
    prev, curr = integers(dtype, 0, device), integers(dtype, 1, device)
    assert not float(step_(prev, curr, force, True)) <= Grid(dtype, 8).limit / Grid(dtype, 8).unit


def test_int16_reports_what_would_wrap(device):
    prev, curr = torch.zeros(2, 3, 5, 16, dtype=torch.int16, device=device), integers(torch.int16, 0, device)
    curr[0, 0, 0, 0] = 20000
    assert float(step_(prev, curr, torch.zeros(2, 3, 5, 16, device=device), True)) == 40000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adjoints_are_not_rounded_to_a_grid(dtype, device):
    fields = torch.randn(3, 2, 3, 5, 16, generator=torch.Generator().manual_seed(0))
    prev, curr, force = fields.bfloat16().to(device)
    prev, curr = prev.to(dtype), curr.to(dtype)
    expected = (2 * curr.double() - prev.double() - force.double()).to(dtype)
    assert step_(prev, curr, force.float(), False) is None
    rtol = 1e-6 if dtype == torch.float32 else 2**-8
    torch.testing.assert_close(prev, expected, rtol=rtol, atol=1e-6)
