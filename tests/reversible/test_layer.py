"""The symmetric layer: normalised in spectral norm, differentiably; K^T is the adjoint of K."""

import pytest
import torch
import torch.nn.functional as F

from revseg.reversible.layer import PreparedLayer, SymmetricLayer


def layer(channels=3, rank=4, size=3, scale=5.0, seed=0):
    torch.manual_seed(seed)
    made = SymmetricLayer(channels, rank, size)
    with torch.no_grad():
        made.kernel.mul_(scale)
        made.bias.normal_()
    return made


def largest_singular_value(kernel):
    return torch.linalg.svdvals(kernel.detach().double().flatten(1))[0].item()


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1.0, 7.0, 1e4])
@pytest.mark.parametrize("shape", [(3, 4, 3), (64, 16, 3), (1, 16, 1), (5, 1, 3)])
def test_spectral_norm_is_at_most_one(shape, scale):
    made = layer(*shape, scale=scale)
    raw = largest_singular_value(made.kernel)
    normalised = largest_singular_value(made.normalised_kernel())
    assert normalised <= 1 + 1e-5
    assert normalised == pytest.approx(min(raw, 1), rel=1e-5)


def test_small_kernels_are_left_alone():
    made = layer(scale=0.1)
    assert torch.equal(made.normalised_kernel(), made.kernel)


def test_a_new_layer_has_norm_about_one():
    assert 0.9 < largest_singular_value(layer(32, 16, 3, scale=1).kernel) < 1.6


@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_normalisation_is_differentiable(scale):
    made = layer(channels=2, rank=3, scale=scale).double()

    def normalised(kernel):
        return torch.func.functional_call(_Normalised(made), {"layer.kernel": kernel}, ())

    assert torch.autograd.gradcheck(normalised, made.kernel.detach().clone().requires_grad_())


def test_gradient_of_the_normalisation_has_no_part_along_the_kernel():
    """K / sigma(K) does not change when K is scaled."""
    made = layer().double()
    (gradient,) = torch.autograd.grad(made.normalised_kernel().sin().sum(), made.kernel)
    assert gradient.norm() > 1e-2
    assert abs((gradient * made.kernel).sum().item()) < 1e-12


@pytest.mark.parametrize("unit", [1.0, 2.0**-12])
def test_prepared_layer_is_the_symmetric_layer_in_grid_units(unit):
    """h^2 K^T relu(K y + b), with K^T from F.conv_transpose3d."""
    made = layer(scale=0.5).double()
    prepared = PreparedLayer(made.kernel.detach(), made.bias.detach(), 0.7, unit, torch.float64)
    y = torch.randn(4, 5, 6, 3, dtype=torch.float64)
    force = unit * prepared.transposed(prepared.hidden(y / unit, (1, 1, 1)), (1, 1, 1))
    batch = y.permute(3, 0, 1, 2)[None]
    hidden = F.conv3d(batch, made.kernel, made.bias, padding=1).relu()
    expected = 0.49 * F.conv_transpose3d(hidden, made.kernel, padding=1)[0].permute(1, 2, 3, 0)
    assert torch.allclose(force, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("padding", [(1, 1, 1), (0, 1, 1), (0, 0, 1)])
def test_transposed_is_the_adjoint_of_linear(padding):
    """<K y, a> = <y, K^T a>, whether the zeros around come from padding or from a halo."""
    made = layer(scale=1).double()
    prepared = PreparedLayer(made.kernel.detach(), made.bias.detach(), 1.0, 1.0, torch.float64)
    y = torch.randn(4, 5, 6, 3, dtype=torch.float64)
    linear = prepared.linear(y, padding)
    a = torch.randn_like(linear)
    reach = [2 * (1 - p) for p in padding]  # K^T needs what lies outside a: zeros
    haloed = F.pad(a, (0, 0, *(r for axis in (2, 1, 0) for r in (reach[axis], reach[axis]))))
    back = prepared.transposed(haloed, padding)
    assert torch.allclose((linear * a).sum(), (y * back).sum(), rtol=1e-12)


class _Normalised(torch.nn.Module):
    def __init__(self, layer: SymmetricLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> torch.Tensor:
        return self.layer.normalised_kernel()
