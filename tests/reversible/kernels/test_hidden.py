"""relu(K y + b) and D K u against float64 convolutions of the operands rounded to bfloat16."""

import pytest
import torch
import torch.nn.functional as F

from revseg.reversible.force.slab import Slab

pytestmark = pytest.mark.slow

SHAPE = (4, 5, 16)  # T, H, W: one column more than a tile keeps, so that tiles meet


def random_field(channels: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    values = torch.randn(*SHAPE, channels, generator=torch.Generator().manual_seed(1)) * 30
    return (values if dtype.is_floating_point else values.round()).to(dtype).to(device)


def convolve(field: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    batch = field.to(torch.bfloat16).double().permute(3, 0, 1, 2)[None]
    bias = None if bias is None else bias.double()
    return F.conv3d(batch, kernel.double(), bias, padding=1)[0].permute(1, 2, 3, 0)


@pytest.mark.parametrize(("channels", "rank", "dtype"),
                         [(4, 16, torch.int16), (16, 32, torch.float32), (32, 16, torch.int32)])  # fmt: skip
def test_hidden_and_gated(channels, rank, dtype, device):
    from revseg.reversible.kernels.hidden import forward_weight, gated, hidden
    from revseg.reversible.kernels.tile import tile_of

    slab = Slab(1, 3, 2, 4, *SHAPE[:2], (1, 1, 1))
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(rank, channels, 3, 3, 3, generator=generator).bfloat16().to(device)
    bias = torch.linspace(-50, 50, rank).bfloat16().to(device)
    y, u = random_field(channels, dtype, device), random_field(channels, torch.bfloat16, device).flip(0)
    weight, tile = forward_weight(kernel.float(), rank), tile_of("hidden", channels, rank)

    a = hidden(y, weight, bias, slab, tile)
    d = gated(u, weight, a, slab, tile)

    expected = convolve(y, kernel, bias).relu()[0:4, 1:5]  # the slab and 1 position around it
    torch.testing.assert_close(a.double(), expected, rtol=2**-8, atol=1e-3)
    assert 0.2 < float((a > 0).double().mean()) < 0.8
    torch.testing.assert_close(d.double(), convolve(u, kernel)[0:4, 1:5] * (a > 0), rtol=2**-8, atol=1e-3)


def test_nan_is_not_swallowed_by_relu(device):
    from revseg.reversible.kernels.hidden import forward_weight, hidden
    from revseg.reversible.kernels.tile import tile_of

    y = torch.zeros(1, 1, 1, 16, device=device)
    y[..., 3] = torch.nan
    weight = forward_weight(torch.ones(16, 16, 3, 3, 3, device=device), 16)
    bias = torch.zeros(16, dtype=torch.bfloat16, device=device)
    a = hidden(y, weight, bias, Slab(0, 1, 0, 1, 1, 1, (1, 1, 1)), tile_of("hidden", 16, 16))
    assert bool(a[1, 1].isnan().all())
