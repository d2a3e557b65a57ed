"""Coarsening and refining: the bits of the PyTorch path."""

import pytest
import torch

from revseg.reversible import haar
from revseg.reversible.grid import LARGEST_INTEGER, Grid

pytestmark = pytest.mark.slow


def random_field(dtype: torch.dtype, channels: int, largest: int) -> torch.Tensor:
    values = torch.rand(4, 6, 10, channels, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return (values * largest).round().to(dtype)


@pytest.mark.parametrize("halve_time", [True, False])
@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 2**20), (torch.int32, 2**22), (torch.int16, 2**12)])
def test_exact_transform_has_the_bits_of_pytorch(dtype, largest, halve_time, device):
    from revseg.reversible.kernels.haar import coarsen_group_, refine_group_

    fine = random_field(dtype, 4, largest)
    expected = haar.coarsen_(fine.clone(), (halve_time, True, True), Grid(dtype, 8), 1 << 20)
    memory = fine.to(device)
    coarse = memory.view(expected.shape)  # in place
    coarsen_group_(memory, coarse, halve_time, True)
    assert torch.equal(coarse.cpu(), expected)
    refine_group_(coarse, memory, halve_time, True)
    assert torch.equal(memory.cpu(), fine)


@pytest.mark.parametrize(("dtype", "channels"), [(torch.float32, 3), (torch.bfloat16, 32), (torch.float16, 4)])
def test_floating_point_transform(dtype, channels, device):
    from revseg.reversible.kernels.haar import coarsen_group_, refine_group_

    fine = random_field(torch.float32, channels, 100).to(dtype)
    expected = haar.coarsen_(fine.clone(), (True, True, True), Grid(torch.float32, None), 1 << 20)
    coarse = torch.empty(expected.shape, dtype=dtype, device=device)
    coarsen_group_(fine.to(device), coarse, True, False)
    torch.testing.assert_close(coarse.cpu(), expected)
    refined = torch.empty(fine.shape, dtype=dtype, device=device)
    refine_group_(coarse, refined, True, False)
    expected = haar.refine_(expected, (True, True, True), Grid(torch.float32, None), 1 << 20)
    torch.testing.assert_close(refined.cpu(), expected)


def test_integers_out_of_range_saturate(device):
    from revseg.reversible.kernels.haar import coarsen_group_

    fine = torch.full((2, 2, 2, 4), 20000, dtype=torch.int16, device=device)
    coarse = torch.empty((1, 1, 1, 32), dtype=torch.int16, device=device)
    coarsen_group_(fine, coarse, True, True)
    assert int(coarse.max()) == LARGEST_INTEGER[torch.int16] + 1
