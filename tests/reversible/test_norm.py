"""The bound of a convolution's norm: never too small, too large by what it states, differentiable, always the same bits."""

import math

import pytest
import torch
import torch.nn.functional as F

from revseg.reversible.norm import QUANTUM, matrix_norms, operator_bound
from tests.plain_network import norm_bound

pytestmark = pytest.mark.slow


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def smooth(rank, channels):
    """[1 2 1] along each axis: the norm is reached at frequency 0, where most samples of natural kernels have it."""
    taps = torch.tensor([1.0, 2, 1], dtype=torch.float64)
    return random(rank, channels)[:, :, None, None, None] * taps[:, None, None] * taps[:, None] * taps


def between(rank, channels):
    """A kernel whose norm is reached half way between two samples along each axis, where the bound needs its factor."""
    angle = math.pi / 8
    taps = torch.tensor([math.cos(angle), 1.0, math.cos(angle)], dtype=torch.float64)
    return random(rank, channels)[:, :, None, None, None] * taps[:, None, None] * taps[:, None] * taps


def rotating(rank, channels):
    """Two channel vectors a quarter turn apart in phase: y -> y(t - 1) e1 + y(t + 1) e2, and likewise along H."""
    kernel = torch.zeros(rank, channels, 3, 3, 3, dtype=torch.float64)
    kernel[0, 0, 0, 1, 1] = kernel[-1, 0, 2, 1, 1] = kernel[0, -1, 1, 0, 1] = kernel[-1, -1, 1, 2, 1] = 1
    return kernel


def shifted(rank, channels):
    """One tap in a corner: a shift, which loses what leaves the field."""
    kernel = torch.zeros(rank, channels, 3, 3, 3, dtype=torch.float64)
    kernel[:, :, 0, 0, 2] = random(rank, channels)
    return kernel


KERNELS = {
    "random": random(8, 4, 3, 3, 3),
    "rank above channels": random(16, 2, 3, 3, 3),
    "rank below channels": random(3, 24, 3, 3, 3),
    "one row": random(1, 5, 3, 3, 3),
    "one channel": random(6, 1, 3, 3, 3),
    "smooth": smooth(6, 4),
    "between samples": between(6, 4),
    "rotating": rotating(3, 2),
    "shifted": shifted(4, 4),
    "alternating": smooth(4, 4) * torch.tensor([-1.0, 1, -1]),
    "5 x 5 x 5": random(4, 3, 5, 5, 5),
    "1 x 3 x 3": random(4, 3, 1, 3, 3),
    "3 x 1 x 5": random(4, 3, 3, 1, 5),
    "1 x 1 x 1": random(4, 3, 1, 1, 1),
    "identity": torch.eye(4, dtype=torch.float64)[:, :, None, None, None],
    "tiny": random(4, 3, 3, 3, 3) * 1e-8,
    "huge": random(4, 3, 3, 3, 3) * 1e10,
}
EACH = pytest.mark.parametrize("name", KERNELS)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def dense(kernel, count=32):
    """Largest singular value of the Fourier transform at count^3 frequencies."""
    counts = [1 if taps == 1 else count for taps in kernel.shape[2:]]
    transform = torch.fft.fftn(kernel, s=counts, dim=(2, 3, 4)).permute(2, 3, 4, 0, 1)
    transform = transform if kernel.shape[0] <= kernel.shape[1] else transform.mT
    return torch.linalg.eigvalsh(transform @ transform.mH).amax().sqrt().item()


def of_fields(kernel, side=7, steps=40):
    """Norm of the zero-padded convolution of fields of side^3, by power iteration: a lower bound of its norm."""
    padding = [taps // 2 for taps in kernel.shape[2:]]
    y = torch.randn(1, kernel.shape[1], side, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for _ in range(steps):
        y = y / y.norm()
        image = F.conv3d(y, kernel, padding=padding)
        y = F.conv_transpose3d(image, kernel, padding=padding)
    return image.norm().item()


@EACH
@DTYPES
def test_the_bound_is_not_below_the_norm(name, dtype):
    kernel = KERNELS[name]
    bound = operator_bound(kernel.to(dtype)).item()
    rounding = 1 - 1e-6 if dtype == torch.float32 else 1 - 1e-12
    assert bound >= rounding * dense(kernel)
    assert bound >= rounding * of_fields(kernel)
    assert of_fields(kernel) <= dense(kernel) * (1 + 1e-2)  # zero padding loses, it never gains; 32 samples may miss the peak


@EACH
@DTYPES
def test_the_bound_is_too_large_by_what_it_states_at_most(name, dtype):
    """1.082 for each axis of 3 taps, and the 32nd root of the smaller side."""
    kernel = KERNELS[name]
    radii = [taps // 2 for taps in kernel.shape[2:]]
    slack = math.prod(1 / math.cos(math.pi * radius / (4 * radius + 4)) for radius in radii)
    missed = math.prod(1 / math.cos(math.pi * radius / 32) for radius in radii)  # by 32 samples
    stated = slack * min(kernel.shape[:2]) ** (1 / 32)
    rounding = 2 * QUANTUM + 1e-5 * dense(kernel) if dtype == torch.float32 else 1e-12 * dense(kernel)
    assert operator_bound(kernel.to(dtype)).item() <= stated * missed * dense(kernel) + rounding
    if kernel.shape[2:] == (3, 3, 3):
        assert slack == pytest.approx(1.268, abs=1e-3)


def test_the_bound_needs_its_factor():
    """Without it, a kernel whose peak lies between the samples would have a bound below its norm."""
    kernel = KERNELS["rotating"]
    schatten = operator_bound(kernel).item() / 1.268
    assert schatten < 1.1 * dense(kernel)


@EACH
def test_the_bound_is_the_plain_one(name):
    """Written a second time, by singular values at the same frequencies."""
    kernel = KERNELS[name]
    size = kernel.abs().amax()  # so that no power overflows
    plain = (norm_bound(kernel / size) * size).item()
    assert operator_bound(kernel).item() == pytest.approx(plain, rel=1e-12)
    single = operator_bound(kernel.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(plain, rel=1e-5, abs=2 * QUANTUM)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_kernels_in_low_precision_are_bounded_in_float32(dtype):
    kernel = KERNELS["random"].to(dtype)
    assert torch.equal(operator_bound(kernel), operator_bound(kernel.float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(operator_bound(kernel.float()), operator_bound(kernel))


@pytest.mark.parametrize("name", ["random", "rank above channels", "rank below channels", "1 x 3 x 3", "1 x 1 x 1", "one row"])
def test_the_bound_is_differentiable(name):
    kernel = KERNELS[name][:4, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(operator_bound, kernel)


def test_rounding_up_passes_gradients_straight_through():
    gradients = []
    for dtype in (torch.float32, torch.float64):
        kernel = KERNELS["random"].to(dtype).requires_grad_()
        gradients.append(torch.autograd.grad(operator_bound(kernel), kernel)[0].double())
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_kernel_of_zeros(dtype):
    """No more than rounding up gives, and a gradient that is not nan: the layer of a network that starts, or ends, at nothing."""
    kernel = torch.zeros(4, 3, 3, 3, 3, dtype=dtype, requires_grad=True)
    bound = operator_bound(kernel)
    assert bound <= QUANTUM
    (gradient,) = torch.autograd.grad((kernel / bound.clamp(min=1)).sum(), kernel)
    assert torch.equal(gradient, torch.ones_like(kernel))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("at", [(0, 0, 0, 0, 0), (7, 3, 2, 2, 2), (3, 1, 1, 1, 1)])
def test_what_is_not_finite_reaches_the_bound(at, bad):
    kernel = KERNELS["random"].float().clone()
    kernel[at] = bad
    assert not operator_bound(kernel).isfinite()


@pytest.mark.parametrize("shape", [(8, 4, 3, 3, 3), (16, 256, 3, 3, 3), (4, 2048, 3, 3, 3), (64, 32, 5, 5, 5)])
def test_the_same_bits_whatever_the_number_of_threads(shape):
    kernel, before, found = random(*shape).float(), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(operator_bound(kernel))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("shape", [(3, 4, 3, 3, 3), (5, 2, 1, 3, 3), (1, 1, 1, 1, 1)])
def test_matrix_norm_is_the_largest_singular_value_rounded_up(shape):
    kernel = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.linalg.svdvals(kernel.flatten(1))[0]
    assert torch.allclose(matrix_norms([kernel])[0], expected, rtol=1e-12)
    rounded = matrix_norms([kernel.float()])[0]
    assert rounded.dtype == torch.float32
    assert 0 <= float(rounded) - float(expected) <= 1.01 * QUANTUM
    assert float(rounded) % QUANTUM == 0
    assert torch.autograd.gradcheck(lambda kernel: matrix_norms([kernel])[0], kernel.requires_grad_())


def test_matrix_norm_of_nan_is_nan():
    assert matrix_norms([torch.full((2, 3, 3, 3, 3), float("nan"))])[0].isnan()
