"""The kick, partner <- 2 curr - partner - round(K^T a) or partner -+ K^T a: rounding, range and containers."""

import pytest
import torch

from revseg.reversible.force.slab import Slab
from revseg.reversible.grid import Grid

pytestmark = pytest.mark.slow

WHOLE = Slab(0, 2, 0, 3, 2, 3, (1, 1, 1))


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


def kick_(partner, curr, force, exact, sign=1):
    from revseg.reversible.kernels.leapfrog import leapfrog_, transposed_weight
    from revseg.reversible.kernels.tile import tile_of

    weight = transposed_weight(one_to_one(partner.device), 16)
    tile = tile_of("leapfrog", 16, 16)
    return leapfrog_(partner, curr, workspace(force), weight, WHOLE, tile, exact, sign)


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
    reached = grid.kick_(expected, curr, force.clone())

    before = prev.clone()
    magnitude = kick_(prev, curr, force, True)
    assert torch.equal(prev, expected)
    assert float(magnitude) == float(reached)

    kick_(prev, curr, force, True)
    assert torch.equal(prev, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_a_force_out_of_range_is_reported(dtype, bad, device):
    force = torch.zeros(2, 3, 5, 16, device=device)
    force[1, 2, 4, 15] = bad
    prev, curr = integers(dtype, 0, device), integers(dtype, 1, device)
    assert not float(kick_(prev, curr, force, True)) <= Grid(dtype, 8).limit / Grid(dtype, 8).unit


def test_int16_reports_what_would_wrap(device):
    prev, curr = torch.zeros(2, 3, 5, 16, dtype=torch.int16, device=device), integers(torch.int16, 0, device)
    curr[0, 0, 0, 0] = 20000
    assert float(kick_(prev, curr, torch.zeros(2, 3, 5, 16, device=device), True)) == 40000


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_velocities_are_not_rounded_to_a_grid(dtype, sign, device):
    """Nor do they look at curr: velocity -+ force."""
    fields = torch.randn(3, 2, 3, 5, 16, generator=torch.Generator().manual_seed(0))
    velocity, curr, force = fields.bfloat16().to(device)
    velocity, curr = velocity.to(dtype), curr.to(dtype).fill_(torch.nan)
    expected = (velocity.double() - sign * force.double()).to(dtype)
    assert kick_(velocity, curr, force.float(), False, sign) is None
    rtol = {torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-8}[dtype]
    torch.testing.assert_close(velocity, expected, rtol=rtol, atol=1e-6)


def test_exact_kicks_are_their_own_inverse_whatever_the_sign(device):
    partner, curr = integers(torch.int16, 0, device), integers(torch.int16, 1, device)
    force, before = torch.full((2, 3, 5, 16), 7.0, device=device), partner.clone()
    kick_(partner, curr, force, True)
    assert not torch.equal(partner, before)
    kick_(partner, curr, force, True, -1)
    assert torch.equal(partner, before)
