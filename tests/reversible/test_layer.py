"""The symmetric layer: normalised in spectral norm, differentiably; K^T is the adjoint of K."""

import pytest
import torch
import torch.nn.functional as F

from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import PreparedLayer, SymmetricLayer, keeps_hidden

# Frames and rows of each slab of a field of 5 frames with 7 rows.
TILINGS = [(5, 7), (2, 7), (1, 7), (5, 3), (5, 1), (3, 4), (1, 1)]


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


@pytest.fixture
def tile(monkeypatch):
    """Sets the frames and rows of each slab."""
    return lambda tiling: monkeypatch.setattr("revseg.reversible.slab.slab_size", lambda *_, **__: tiling)


def fields(channels, grid=None, frames=5, seed=2):
    """prev, curr, u_prev and u_curr."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(4, frames, 7, 6, channels, generator=generator, dtype=torch.float64)
    return [*map(grid.store, values[:2]), *values[2:].float()] if grid else list(values)


def prepared(channels, rank, size=3, unit=1.0, dtype=torch.float64):
    made = layer(channels, rank, size, scale=0.5)
    kernel, bias = made.kernel.detach(), made.bias.detach()
    return PreparedLayer(kernel.double() if dtype == torch.float64 else kernel, bias.to(kernel), 0.7, unit, dtype)


def passes(made, start, grid, adjoint_grid, keep=None):
    """Everything that a step and the adjoint of its inverse write or return."""
    prev, curr, u_prev, u_curr = (part.clone() for part in start)
    reached = made.step_(prev, curr, grid, 0, keep)
    stepped = prev.clone()
    kernel, bias = made.adjoint_(prev, curr, u_prev, u_curr, grid, adjoint_grid, 0, keep)
    return [stepped, prev, curr, u_prev, u_curr, kernel, bias, *reached]


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_slabs_of_all_frames_and_of_some_give_the_same(frames, tiling, size, tile):
    """Forward, backward and the gradients, in float64; a field of few frames has fewer than the kernel has taps."""
    grid, made, start = Grid(torch.float64, None), prepared(3, 4, size), fields(3, frames=frames)
    tile((frames, 7))
    whole = passes(made, start, grid, grid)
    tile(tiling)
    for got, expected in zip(passes(made, start, grid, grid), whole, strict=True):
        assert torch.allclose(got, expected, rtol=0, atol=1e-12 * max(1, expected.abs().max().item()))


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_slab_of_all_frames_gives_what_autograd_gives(size, frames, tile):
    tile((frames, 7))
    grid, made, start = Grid(torch.float64, None), prepared(3, 4, size), fields(3, frames=frames)
    stepped, _, _, u_prev, u_curr, of_kernel, of_bias = passes(made, start, grid, grid)
    weights = layer(3, 4, size, scale=0.5).double()
    prev, curr, before, after = start
    curr = curr.clone().requires_grad_()
    hidden = F.conv3d(curr.permute(3, 0, 1, 2)[None], weights.kernel, weights.bias, padding=size // 2).relu()
    force = 0.49 * F.conv_transpose3d(hidden, weights.kernel, padding=size // 2)[0].permute(1, 2, 3, 0)
    following = 2 * curr - prev - force
    assert torch.allclose(stepped, following, rtol=0, atol=1e-12)
    loss = (following * after).sum() - (curr * before).sum()  # whose adjoint is (u_prev, u_curr) = (before, after)
    expected = torch.autograd.grad(loss, (curr, weights.kernel, weights.bias))
    assert torch.equal(u_curr, after)
    for got, wanted in zip((u_prev, of_kernel, of_bias), expected, strict=True):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-12 * max(1, wanted.abs().max().item()))


@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("container", [torch.float32, torch.int32, torch.int16])
@pytest.mark.parametrize("convolution", [torch.bfloat16, torch.float32])
def test_kept_hidden_activations_change_no_bit(convolution, container, tiling, tile):
    tile(tiling)
    grid, adjoint_grid = Grid(container, DEFAULT_BITS[container]), Grid(torch.float32, None)
    made, start = prepared(8, 4, 3, grid.unit, convolution), fields(8, grid)
    kept = []
    got, expected = passes(made, start, grid, adjoint_grid, kept), passes(made, start, grid, adjoint_grid)
    assert all(map(torch.equal, got, expected))
    assert len(got) == len(expected)
    assert torch.equal(got[1], start[0])  # undone
    parts = made._slabs(start[1], grid, 0)
    assert [part.dtype for part in kept] == [convolution] * len(parts)
    for slab, hidden in zip(parts, kept, strict=True):
        again = slab.clear_halo_(made.hidden(slab.read(start[1], convolution), slab.padding))
        assert torch.equal(hidden, again)


def test_kept_hidden_activations_are_what_the_adjoint_uses(tile):
    """Nothing is recomputed: with zeros for relu(K y + b) the force is zero, and so are the gradients."""
    tile((2, 7))
    grid, made, (prev, curr, u_prev, u_curr) = Grid(torch.float64, None), prepared(8, 4), fields(8)
    kept = []
    made.step_(prev, curr, grid, 0, kept)
    expected = 2 * curr - prev
    kernel, bias = made.adjoint_(prev, curr, u_prev, u_curr, grid, grid, 0, [part.zero_() for part in kept])
    assert torch.allclose(prev, expected, rtol=0, atol=1e-13)
    assert not kernel.any()
    assert not bias.any()


@pytest.mark.parametrize(("channels", "rank", "kept"), [(8, 4, True), (7, 4, False), (4, 4, False), (2, 1, True)])
def test_hidden_activations_are_kept_where_channels_are_twice_the_rank(channels, rank, kept, tile):
    assert keeps_hidden(channels, rank) is kept
    tile((2, 7))
    grid, made, start = Grid(torch.float64, None), prepared(channels, rank), fields(channels)
    keep = []
    got, expected = passes(made, start, grid, grid, keep), passes(made, start, grid, grid)
    assert len(keep) == (3 if kept else 0)  # slabs
    assert all(map(torch.equal, got, expected))


class _Normalised(torch.nn.Module):
    def __init__(self, layer: SymmetricLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self) -> torch.Tensor:
        return self.layer.normalised_kernel()
