"""The kernel gradient against float64, in one slab and in several."""

import pytest
import torch
from torch.nn.grad import conv3d_weight

from revseg.reversible.force.slab import Slab

pytestmark = pytest.mark.slow

SHAPE = (3, 6, 18)
RADII = (1, 1, 1)
PARTS = [Slab(0, 2, 0, 6, 3, 6, RADII), Slab(2, 3, 0, 4, 3, 6, RADII), Slab(2, 3, 4, 6, 3, 6, RADII)]


def around(field: torch.Tensor, slab: Slab) -> torch.Tensor:
    """Workspace of a slab: nan outside the field, where the kernel must not read."""
    padded = torch.nn.functional.pad(field.float(), (0, 0, 0, 0, 1, 1, 1, 1), value=torch.nan).bfloat16()
    return padded[slab.start : slab.stop + 2, slab.top : slab.bottom + 2].contiguous()


def test_sum_over_slabs_is_the_gradient(device):
    from revseg.reversible.kernels.gradient import kernel_gradient
    from revseg.reversible.kernels.tile import tile_of

    generator = torch.Generator().manual_seed(0)
    y, u, a, d = (torch.randn(*SHAPE, n, generator=generator).bfloat16().to(device) for n in (32, 32, 16, 16))
    tile = tile_of("gradient", 32, 16)

    def total() -> torch.Tensor:
        return sum(kernel_gradient(y.float(), u, around(a, s), around(d, s), s, tile) for s in PARTS)

    batch = [x.double().permute(3, 0, 1, 2)[None] for x in (y, u, a, d)]
    expected = conv3d_weight(batch[1], (16, 32, 3, 3, 3), batch[2], padding=1)
    expected += conv3d_weight(batch[0], (16, 32, 3, 3, 3), batch[3], padding=1)
    gradient = total()
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=1e-4)
    assert torch.equal(gradient, total())  # no atomics: the same bits every time
