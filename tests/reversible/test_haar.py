"""The Haar transform: orthonormal, equal to a plain one; on the grid exactly invertible."""

import itertools

import pytest
import torch

from revseg.reversible import haar as haar_module
from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsen_, coarsened, names_of, refine_, refined
from tests.plain_network import haar, haar_inverse

DOUBLE = Grid(torch.float64, None)
SUBSETS = [axes for axes in itertools.product((True, False), repeat=3) if any(axes)]
AXES = pytest.mark.parametrize("axes", SUBSETS)
ALL = (True, True, True)
SHAPE = (4, 6, 8, 3)


def field(shape=SHAPE, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def plain(transform, x, axes):
    return transform(x.permute(3, 0, 1, 2)[None], axes)[0].permute(1, 2, 3, 0)


@pytest.fixture(params=[1, 600, 10_000, 1 << 20])
def strips(request, monkeypatch):
    """A row of a frame at a time, several rows, some frames, all."""
    monkeypatch.setattr(haar_module, "STRIP_BYTES", {"cpu": request.param})


@AXES
def test_coarsen_and_refine_equal_the_plain_transform(strips, axes):
    x = field()
    coarse = coarsen_(x.clone(), axes, DOUBLE, 1)
    halved = [size // 2 if axis else size for size, axis in zip(SHAPE[:3], axes, strict=True)]
    assert coarse.shape == (*halved, 3 * 2 ** sum(axes))
    assert torch.allclose(coarse, plain(haar, x, axes), rtol=0, atol=1e-14)
    y = field(coarse.shape, 1)
    expected = plain(haar_inverse, y, axes)
    assert torch.allclose(refine_(y.clone(), axes, DOUBLE, 1), expected, rtol=0, atol=1e-14)


def test_one_cell_by_hand():
    """Values 0..7 in the order (t, h, w): low-low-low is sum / sqrt 8, each high a signed difference."""
    cell = torch.arange(8.0, dtype=torch.float64).view(2, 2, 2, 1)
    coarse = coarsen_(cell, ALL, DOUBLE, 1 << 20).flatten() * 8**0.5
    expected = torch.tensor([28.0, 4, 8, 0, 16, 0, 0, 0], dtype=torch.float64)
    assert torch.allclose(coarse, expected, rtol=0, atol=1e-13)


@AXES
def test_adjoint_by_dot_product_and_norm_kept(axes):
    """<W x, y> = <x, W^T y> with W^T = refine, and |W x| = |x|."""
    x = field()
    coarse = coarsen_(x.clone(), axes, DOUBLE, 1 << 20)
    y = field(coarse.shape, 1)
    assert torch.allclose((coarse * y).sum(), (x * refine_(y.clone(), axes, DOUBLE, 1 << 20)).sum(), rtol=1e-12)
    assert torch.allclose(coarse.norm(), x.norm(), rtol=1e-13)


@AXES
@pytest.mark.parametrize("channels", [1, 2, 3, 4])  # each packs its channels differently
@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int16])
def test_on_the_grid_refine_undoes_coarsen_bit_for_bit(strips, dtype, channels, axes):
    grid = Grid(dtype, 8)
    start = grid.store(field((4, 8, 8, channels), 2) * 8)
    coarse = coarsen_(start.clone(), axes, grid, 500)
    assert torch.equal(refine_(coarse.clone(), axes, grid, 1 << 20), start)
    assert torch.equal(coarsen_(refine_(coarse.clone(), axes, grid, 1), axes, grid, 1), coarse)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int16])
def test_lifted_transform_lies_within_grid_steps_of_the_orthonormal_one(dtype):
    grid = Grid(dtype, 8)
    start = grid.store(field((8, 16, 16, 4), 3))
    lifted = coarsen_(start.clone(), ALL, grid, 1 << 20).double()
    deviation = lifted - coarsen_(start.double(), ALL, DOUBLE, 1 << 20)
    assert deviation.abs().max() < 3
    assert deviation.square().mean().sqrt() < 1


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
@pytest.mark.parametrize("transform", [coarsen_, refine_])
def test_integers_that_grow_out_of_the_container_stay_visible(dtype, transform):
    """A constant grows by sqrt 8; wrapped around, it would look like any other state."""
    grid = Grid(dtype, 8)
    largest = grid.store(torch.tensor(grid.limit)).item()
    constant = torch.full((2, 2, 2, 8), largest, dtype=dtype)
    if transform is refine_:
        constant = torch.zeros(1, 1, 1, 64, dtype=dtype)
        constant[..., ::8] = largest
    assert grid.magnitude(transform(constant, ALL, grid, 1 << 20)) > largest


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_adjoints_in_low_precision_go_through_the_same_transform(dtype):
    x = field(dtype=dtype)
    coarse = coarsen_(x.clone(), ALL, Grid(dtype, None), 1 << 20)
    expected = plain(haar, x.double(), ALL)
    assert (coarse.double() - expected).abs().max() <= 4 * torch.finfo(dtype).eps * expected.abs().max()


def test_transform_works_in_the_memory_of_the_field():
    x = field()
    assert coarsen_(x, ALL, DOUBLE, 1).data_ptr() == x.data_ptr()


@AXES
def test_values_under_autograd_go_through_the_same_transform(axes):
    """(N, C, T, H, W) with channels in the order of the fields'; and back."""
    x = field().permute(3, 0, 1, 2)[None]
    coarse = coarsened(x, axes)
    assert torch.allclose(coarse, haar(x, axes), rtol=0, atol=1e-14)
    assert torch.allclose(refined(coarse, axes), x, rtol=0, atol=1e-14)


@AXES
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_odd_sizes_are_refused_along_the_axes_that_are_halved(axes, odd):
    shape = [4, 4, 4, 1]
    shape[odd] = 3
    x = torch.zeros(shape, dtype=torch.float64)
    if not axes[odd]:
        assert coarsen_(x, axes, DOUBLE, 1 << 20).numel() == x.numel()
        return
    with pytest.raises(ValueError, match=rf"{' x '.join(map(str, shape[:3]))} cannot be halved along .*{'THW'[odd]}.*; pad"):
        coarsen_(x, axes, DOUBLE, 1 << 20)


def test_channels_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ValueError, match="12 channels cannot be refined along T, H and W: give a multiple of 8"):
        refine_(torch.zeros(1, 1, 1, 12, dtype=torch.float64), ALL, DOUBLE, 1 << 20)


def test_names_of_axes():
    names = [names_of(axes) for axes in SUBSETS]
    assert names == ["T, H and W", "T and H", "T and W", "T", "H and W", "H", "W"]
