"""A convolution, its kernel gradient and the force of a layer agree with F.conv3d and autograd in float64."""

import pytest
import torch
import torch.nn.functional as F

from revseg.reversible.force.convolution import (
    Convolution,
    ConvolutionForce,
    as_field,
    position_bytes,
    temporary_bytes,
)
from revseg.reversible.force.gradient import WIDE, as_batch, kernel_gradient
from revseg.reversible.force.slab import slabs
from revseg.reversible.grid import DEFAULT_BITS, Grid
from tests.reversible.force.forces import DOUBLE, fields, layout_of, passes, weights

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
# Frames and rows of each slab of a field of 5 frames with 7 rows.
TILINGS = [(5, 7), (2, 7), (1, 7), (5, 3), (5, 1), (3, 4), (1, 1)]
KERNELS = pytest.mark.parametrize("size", [(1, 1, 1), (3, 3, 3), (5, 5, 5), (1, 3, 3), (3, 1, 5)])
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
@pytest.mark.parametrize("channels", [12, WIDE])
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 6])
def test_kernel_gradient_agrees_with_autograd(frames, dtype, size, padding, channels):
    """``frames`` of the output; with padding along T as many of the field, fewer than taps too: those that meet none give 0."""
    field = random(frames + size[0] - 1 - 2 * padding[0], 7, 5, channels, seed=0, dtype=dtype)
    kernel = torch.zeros(3, channels, *size, dtype=torch.float64, requires_grad=True)
    output = plain(field, kernel, None, padding)
    adjoint = random(*output.shape, seed=1, dtype=dtype)
    (expected,) = torch.autograd.grad((output * adjoint.double()).sum(), kernel)
    gradient = kernel_gradient(field, adjoint, size, padding)
    assert gradient.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gradient.shape == kernel.shape
    assert relative(gradient, expected) < TOLERANCE[dtype]
    assert torch.equal(gradient.abs().amax((0, 1, 3, 4)) > 0, expected.abs().amax((0, 1, 3, 4)) > 0)


@pytest.mark.parametrize("channels", [12, WIDE])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "frames"), [(3, 1), (3, 4), (5, 1), (5, 2), (5, 4)])
def test_zeros_along_time_may_be_padding_or_part_of_the_field(frames, size, dtype, channels):
    """A slab of all frames and one with a halo."""
    reach, size = size // 2, (size, 3, size)
    field, adjoint = random(frames, 7, 5, channels, seed=0, dtype=dtype), random(frames, 7, 5, 3, seed=1, dtype=dtype)
    haloed = F.pad(field, (0, 0, 0, 0, 0, 0, reach, reach))
    expected = kernel_gradient(haloed.double(), adjoint.double(), size, (0, 1, reach))
    gradient = kernel_gradient(field, adjoint, size, (reach, 1, reach))
    assert relative(gradient, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("channels", [12, WIDE])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_parts_of_the_rows_need_no_contiguous_memory(dtype, channels):
    """A slab split along H is a view of its haloed copy."""
    field = random(6, 9, 5, channels, seed=0, dtype=dtype)[1:-1, 2:-2]
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


def prepared(channels, rank, size=(3, 3, 3), grid=DOUBLE, dtype=torch.float64):
    kernel, bias = weights(rank, channels, size)
    wide = torch.promote_types(dtype, torch.float32)
    return ConvolutionForce(kernel.to(wide), bias.to(wide), 0.7, layout_of(kernel, dtype=dtype, grid=grid))


@pytest.mark.parametrize("bits", [0, 12])
def test_the_force_is_the_symmetric_layer_in_grid_units(bits):
    """h^2 K^T relu(K y + b), with K^T from F.conv_transpose3d."""
    grid, (kernel, bias) = Grid(torch.float32, bits), weights(4, 3, (3, 3, 3))
    made, y = prepared(3, 4, grid=grid), torch.randn(4, 5, 6, 3, dtype=torch.float64)
    force = grid.unit * made.transposed(made.affine(y / grid.unit, (1, 1, 1)).relu(), (1, 1, 1))
    hidden = F.conv3d(y.permute(3, 0, 1, 2)[None], kernel, bias, padding=1).relu()
    expected = 0.49 * F.conv_transpose3d(hidden, kernel, padding=1)[0].permute(1, 2, 3, 0)
    assert torch.allclose(force, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("padding", [(1, 1, 1), (0, 1, 1), (0, 0, 1)])
def test_transposed_is_the_adjoint_of_linear(padding):
    """h^2 <K y, a> = <y, h^2 K^T a>, whether the zeros around come from padding or from a halo."""
    made = prepared(3, 4)
    y = torch.randn(4, 5, 6, 3, dtype=torch.float64)
    linear = made.linear(y, padding)
    a = torch.randn_like(linear)
    reach = [2 * (1 - p) for p in padding]  # K^T needs what lies outside a: zeros
    haloed = F.pad(a, (0, 0, *(r for axis in (2, 1, 0) for r in (reach[axis], reach[axis]))))
    back = made.transposed(haloed, padding)
    assert torch.allclose(0.49 * (linear * a).sum(), (y * back).sum(), rtol=1e-12)


@pytest.fixture
def tile(monkeypatch):
    """Sets the frames and rows of each slab."""
    return lambda tiling: monkeypatch.setattr("revseg.reversible.force.slab.slab_size", lambda *_, **__: tiling)


@KERNELS
@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_slabs_of_all_frames_and_of_some_give_the_same(frames, tiling, size, tile):
    """Forward, backward and the gradients, in float64; a field of few frames has fewer than the kernel has taps."""
    made, start = prepared(3, 4, size), fields(3, frames=frames)
    tile((frames, 7))
    whole = passes(made, start, DOUBLE)
    tile(tiling)
    for got, expected in zip(passes(made, start, DOUBLE), whole, strict=True):
        assert torch.allclose(got, expected, rtol=0, atol=1e-12 * max(1, expected.abs().max().item()))


@KERNELS
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_slab_of_all_frames_gives_what_autograd_gives(size, frames, tile):
    """The kick of the adjoint is the gradient of <u, force> in curr, and those of the operands are its negative ones."""
    tile((frames, 7))
    start = fields(3, frames=frames)
    kicked, undone, _, velocity, u, of_kernel, of_bias = passes(prepared(3, 4, size), start, DOUBLE)
    kernel, bias = (part.requires_grad_() for part in weights(4, 3, size))
    curr, padding = start[1].clone().requires_grad_(), [extent // 2 for extent in size]
    hidden = F.conv3d(curr.permute(3, 0, 1, 2)[None], kernel, bias, padding=padding).relu()
    force = 0.49 * F.conv_transpose3d(hidden, kernel, padding=padding)[0].permute(1, 2, 3, 0)
    assert torch.allclose(kicked, start[0] - force, rtol=0, atol=1e-12)
    assert torch.allclose(undone, start[0], rtol=0, atol=1e-12)
    expected = torch.autograd.grad((force * start[3]).sum(), (curr, kernel, bias))
    assert torch.equal(u, start[3])
    for got, wanted in zip((start[2] - velocity, -of_kernel, -of_bias), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-12 * max(1, wanted.abs().max().item()))


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_kept_hidden_activations_change_no_bit(convolution, container, tiling, tile):
    tile(tiling)
    grid = Grid(container, DEFAULT_BITS[container])
    made, start = prepared(8, 4, grid=grid, dtype=convolution), fields(8, grid)
    kept = []
    got, expected = passes(made, start, grid, kept), passes(made, start, grid)
    assert all(map(torch.equal, got, expected))
    assert len(got) == len(expected)
    assert torch.equal(got[1], start[0])  # undone
    parts = list(slabs(tuple(start[1].shape), (1, 1, 1), 1, 0))
    assert [part.dtype for part in kept[0]] == [convolution] * len(parts)
    for slab, hidden in zip(parts, kept[0], strict=True):
        assert torch.equal(hidden, made.hidden(made.read(start[1], slab), slab))


def test_kept_hidden_activations_are_what_the_adjoint_uses(tile):
    """Nothing is recomputed: with zeros for relu(K y + b) the force is zero, and so are the gradients."""
    tile((2, 7))

    class Forgotten(list):
        def append(self, hidden):
            super().append([part.zero_() for part in hidden])

    start = fields(8)
    kicked, after, _, _, _, kernel, bias = passes(prepared(8, 4), start, DOUBLE, Forgotten())
    assert not torch.allclose(kicked, start[0], rtol=0, atol=1e-3)
    assert torch.equal(after, kicked)  # nothing is taken back
    assert not kernel.any()
    assert not bias.any()


@pytest.mark.parametrize("budget", [20_000, 60_000, 1 << 30])
@pytest.mark.parametrize("size", [(3, 3, 3), (1, 3, 3), (5, 5, 5)])
def test_temporaries_keep_to_what_is_forecast(size, budget):
    """The positions of the largest slab with its halo, times the bytes of each."""
    shape, (kernel, _) = (24, 40, 12, 6), weights(4, 6, size)
    layout = layout_of(kernel, dtype=torch.bfloat16, grid=Grid(torch.int16, 6))
    parts = slabs(shape, layout.radii, position_bytes(layout), budget)
    read = [part.read(torch.zeros(shape, dtype=torch.int16), torch.bfloat16)[..., 0].numel() for part in parts]
    assert max(read) * position_bytes(layout) == temporary_bytes(layout, shape, budget)
    assert position_bytes(layout) == 6 * (3 * 2 + 8) + 4 * 3 * 2


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@DTYPES
def test_a_single_frame(channels, dtype):
    """oneDNN's 3D kernel for bfloat16 makes nan of an odd number of channels (torch 2.14, AMX)."""
    field, kernel, bias = (
        random(*shape, seed=seed, dtype=dtype) for seed, shape in enumerate([(1, 6, 7, channels), (4, channels, 3, 3, 3), (4,)])
    )
    for padding in ((1, 1, 1), (1, 0, 1)):
        found = Convolution(kernel, bias)(field, padding)
        assert relative(found, plain(field, kernel, bias, padding)) < TOLERANCE[dtype]
