"""A convolution and its kernel gradient agree with F.conv3d and autograd in float64."""

import pytest
import torch
import torch.nn.functional as F

from revseg.reversible.force.convolution import Convolution, as_batch, as_field, kernel_gradient

TOLERANCE = {torch.bfloat16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-12}
CASES = pytest.mark.parametrize(
    ("size", "padding"),
    [
        ((1, 1, 1), (0, 0, 0)),
        ((3, 3, 3), (0, 1, 1)),
        ((3, 3, 3), (0, 0, 1)),
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (1, 0, 1)),
        ((5, 5, 5), (0, 2, 2)),
        ((5, 5, 5), (0, 0, 2)),
        ((5, 5, 5), (2, 2, 2)),
        ((5, 5, 5), (2, 0, 2)),
        ((1, 3, 3), (0, 1, 1)),
        ((1, 3, 3), (0, 0, 1)),
        ((3, 1, 5), (1, 0, 2)),
        ((5, 3, 1), (0, 1, 0)),
    ],
)
DTYPES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])


def random(*shape, seed, dtype):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def relative(got, expected):
    return ((got.double() - expected).abs().max() / expected.abs().max()).item()


def plain(field, kernel, bias, padding):
    return as_field(
        F.conv3d(
            as_batch(field.double()),
            kernel.double(),
            None if bias is None else bias.double(),
            padding=padding,
        )
    )


@CASES
@DTYPES
@pytest.mark.parametrize(("out", "channels", "with_bias"), [(3, 12, True), (3, 12, False), (12, 3, False)])
def test_convolution_agrees_with_float64(out, channels, with_bias, dtype, size, padding):
    """K with and without its bias; K^T, which has none and whose large side is its output."""
    field = random(6, 7, 5, channels, seed=0, dtype=dtype)
    kernel = random(out, channels, *size, seed=1, dtype=dtype)
    bias = random(out, seed=2, dtype=dtype) if with_bias else None
    result = Convolution(kernel, bias)(field, padding)
    assert result.dtype == dtype
    assert relative(result, plain(field, kernel, bias, padding)) < TOLERANCE[dtype]


@CASES
@DTYPES
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 6])
def test_kernel_gradient_agrees_with_autograd(frames, dtype, size, padding):
    """``frames`` of the output; with padding along T as many of the field, fewer than taps too: those that meet none give 0."""
    field = random(frames + size[0] - 1 - 2 * padding[0], 7, 5, 12, seed=0, dtype=dtype)
    kernel = torch.zeros(3, 12, *size, dtype=torch.float64, requires_grad=True)
    output = plain(field, kernel, None, padding)
    adjoint = random(*output.shape, seed=1, dtype=dtype)
    (expected,) = torch.autograd.grad((output * adjoint.double()).sum(), kernel)
    gradient = kernel_gradient(field, adjoint, size, padding)
    assert gradient.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gradient.shape == kernel.shape
    assert relative(gradient, expected) < TOLERANCE[dtype]
    assert torch.equal(gradient.abs().amax((0, 1, 3, 4)) > 0, expected.abs().amax((0, 1, 3, 4)) > 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "frames"), [(3, 1), (3, 4), (5, 1), (5, 2), (5, 4)])
def test_zeros_along_time_may_be_padding_or_part_of_the_field(frames, size, dtype):
    """A slab of all frames and one with a halo."""
    reach, size = size // 2, (size, 3, size)
    field, adjoint = random(frames, 7, 5, 12, seed=0, dtype=dtype), random(frames, 7, 5, 3, seed=1, dtype=dtype)
    haloed = F.pad(field, (0, 0, 0, 0, 0, 0, reach, reach))
    expected = kernel_gradient(haloed.double(), adjoint.double(), size, (0, 1, reach))
    gradient = kernel_gradient(field, adjoint, size, (reach, 1, reach))
    assert relative(gradient, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_parts_of_the_rows_need_no_contiguous_memory(dtype):
    """A slab split along H is a view of its haloed copy."""
    field = random(6, 9, 5, 12, seed=0, dtype=dtype)[1:-1, 2:-2]
    adjoint = random(4, 5, 5, 3, seed=1, dtype=dtype)[1:-1, 1:-1]
    for part, padding in ((adjoint, (0, 0, 1)), (random(4, 3, 7, 3, seed=2, dtype=dtype)[:, :, 1:-1], (1, 0, 1))):
        expected = kernel_gradient(field.contiguous().double(), part.contiguous().double(), (3, 3, 3), padding)
        assert relative(kernel_gradient(field, part, (3, 3, 3), padding), expected) < TOLERANCE[dtype]


def test_views_between_field_and_batch_share_memory():
    field = torch.randn(2, 3, 4, 5)
    batch = as_batch(field)
    assert batch.shape == (1, 5, 2, 3, 4)
    assert batch.is_contiguous(memory_format=torch.channels_last_3d)
    assert as_field(batch).data_ptr() == batch.data_ptr() == field.data_ptr()
    assert torch.equal(as_field(batch), field)
