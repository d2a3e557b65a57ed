"""The symmetric layer: its norm as an operator is at most 1, differentiably."""

import pytest
import torch

from revseg.reversible.layer import SymmetricLayer
from tests import plain_network


def layer(channels=3, rank=4, size=3, scale=5.0, seed=0):
    torch.manual_seed(seed)
    made = SymmetricLayer(channels, rank, size)
    with torch.no_grad():
        made.kernel.mul_(scale)
        made.bias.normal_()
    return made


def bound(kernel):
    return plain_network.norm_bound(kernel.detach().double()).item()


@pytest.mark.parametrize("scale", [1e-3, 0.5, 1.0, 7.0, 1e4])
@pytest.mark.parametrize("shape", [(3, 4, 3), (64, 16, 3), (1, 16, 1), (5, 1, 3), (3, 4, (1, 3, 3))])
def test_norm_is_at_most_one(shape, scale):
    """By the bound of the independent network, which the package rounds up by 2^-12 at most."""
    made = layer(*shape, scale=scale)
    raw, normalised = bound(made.kernel), bound(made.normalised_kernel())
    assert normalised <= 1 + 1e-6
    assert normalised == pytest.approx(min(raw, 1), rel=1e-3)


def test_small_kernels_are_left_alone():
    made = layer(scale=0.1)
    assert torch.equal(made.normalised_kernel(), made.kernel)


def test_a_new_layer_has_rows_of_norm_about_one():
    rows = layer(32, 16, 3, scale=1).kernel.flatten(1).norm(dim=1)
    assert 0.9 < rows.min() <= rows.max() < 1.1


@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_normalisation_is_differentiable(scale):
    made = layer(channels=2, rank=3, scale=scale).double()

    def normalised(kernel):
        return torch.func.functional_call(_Normalised(made), {"layer.kernel": kernel}, ())

    assert torch.autograd.gradcheck(normalised, made.kernel.detach().clone().requires_grad_())


def test_gradient_of_the_normalisation_has_no_part_along_the_kernel():
    """K / B(K) does not change when K is scaled."""
    made = layer().double()
    (gradient,) = torch.autograd.grad(made.normalised_kernel().sin().sum(), made.kernel)
    assert gradient.norm() > 1e-2
    assert abs((gradient * made.kernel).sum().item()) < 1e-12


@pytest.mark.parametrize("size", [1, 3, (1, 3, 3), (3, 1, 5)])
@pytest.mark.parametrize("scale", [0.3, 5.0])
def test_the_layer_as_a_module_is_its_equation(size, scale):
    """K^T relu(K y + b), with K^T from F.conv_transpose3d."""
    made = layer(size=size, scale=scale).double()
    y = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    assert torch.allclose(made(y), plain_network.force(y, made.kernel, made.bias, 1.0), rtol=0, atol=1e-12)
    assert made.float()(y.float()).dtype == torch.float32


@pytest.mark.parametrize("size", [0, 2, (3, 3), (3, 3, 4), (1, 1, -1)])
def test_kernel_sizes_that_are_none_are_refused(size):
    with pytest.raises(ValueError, match="give an odd number, or three of them for T, H and W"):
        SymmetricLayer(2, 3, size)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_sizes_of_nothing_are_refused(shape):
    with pytest.raises(ValueError, match="give whole numbers of at least 1"):
        SymmetricLayer(*shape)


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match="activation is swish; choose one of relu, leaky_relu, .*, or give an Activation"):
        SymmetricLayer(2, 3, activation="swish")


class _Normalised(torch.nn.Module):
    def __init__(self, layer: SymmetricLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> torch.Tensor:
        return self.layer.normalised_kernel()
