"""The opening and its gradient, compiled or not: the same field, wherever the video lies in it."""

from collections.abc import Iterator

import pytest
import torch

from revseg.network.network import RevSegNet
from revseg.network.opening import gradient_of_opening, opened, opened_frames
from revseg.network.volume import Placement
from revseg.reversible.grid import Grid
from revseg.reversible.kernels import switch
from revseg.reversible.kernels.native import opening as native

FRAMES, HEIGHT, WIDTH = 5, 13, 300


@pytest.fixture(params=[1, 3])
def net(request: pytest.FixtureRequest) -> RevSegNet:
    torch.manual_seed(0)
    return RevSegNet(classes=2, evidence=True, channels=request.param, state_dtype="int16", grid_bits=6)


def video(count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, 6, FRAMES, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.fixture
def without() -> Iterator[None]:
    switch.enable(False)
    yield
    switch.enable(True)


def plainly(net: RevSegNet, volume: torch.Tensor, placement: Placement) -> torch.Tensor:
    """(N, T', H', W', C), values in float64."""
    padded = torch.zeros(*volume.shape[:2], *placement.padded, dtype=torch.float64)
    (t, h, w), (frames, height, width) = placement.offset, placement.size
    padded[:, :, t : t + frames, h : h + height, w : w + width] = (volume.double() - 114.75) / 57.375
    return padded.movedim(1, -1) @ net.opening.weight.double().t() + net.opening.bias.double()


def the_field(net: RevSegNet, offset: tuple[int, int, int]) -> None:
    grid, volume = net.sequence.grid, video()
    placement = Placement.of(net, volume, offset)
    with torch.no_grad():
        expected = plainly(net, volume, placement) / grid.unit
        found = opened(net, volume, placement, grid)
        assert (found.double() - expected).abs().max() < 0.5 + 1e-3
        parts = [opened_frames(net, volume, placement, start=start, stop=start + 2, grid=grid) for start in range(0, 8, 2)]
    assert torch.equal(torch.cat(parts, 1), found)


OFFSETS = pytest.mark.parametrize("offset", [(0, 0, 0), (2, 3, 1), (3, 0, 4)])


@OFFSETS
def test_compiled(net: RevSegNet, offset: tuple[int, int, int]) -> None:
    if not native.opens(video()[0], torch.zeros(1, 1, 1, 1, dtype=torch.int16)):
        pytest.skip("nothing can be compiled here")
    the_field(net, offset)


@OFFSETS
@pytest.mark.usefixtures("without")
def test_by_pytorch(net: RevSegNet, offset: tuple[int, int, int]) -> None:
    the_field(net, offset)


def gradients(
    net: RevSegNet, volume: torch.Tensor, placement: Placement, *, gradient: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of the first four frames, and of the others."""
    return [gradient_of_opening(net, volume, placement, gradient=gradient[:, start : start + 4], start=start) for start in (0, 4)]


@OFFSETS
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_gradient_is_that_of_autograd(net: RevSegNet, offset: tuple[int, int, int], dtype: torch.dtype) -> None:
    volume = video()
    placement = Placement.of(net, volume, offset)
    size = (len(volume), *placement.padded, net.config.channels)
    gradient = torch.randn(size, generator=torch.Generator().manual_seed(1)).to(dtype)
    loss = (plainly(net, volume, placement) * gradient.double()).sum()
    expected = torch.autograd.grad(loss, (net.opening.weight, net.opening.bias))
    parts = [
        gradient_of_opening(net, volume, placement, gradient=gradient[:, start : start + 4], start=start) for start in (0, 4)
    ]
    for found, truth in zip(zip(*parts, strict=True), expected, strict=True):
        assert torch.allclose(sum(found), truth, rtol=1e-4, atol=0.02)
    switch.enable(False)
    try:
        plain = [
            gradient_of_opening(net, volume, placement, gradient=gradient[:, start : start + 4], start=start) for start in (0, 4)
        ]
    finally:
        switch.enable(True)
    for found, other in zip(zip(*parts, strict=True), zip(*plain, strict=True), strict=True):
        assert torch.allclose(sum(found), sum(other), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
def test_a_field_of_32_bits_has_the_same_integers(net: RevSegNet, dtype: torch.dtype) -> None:
    volume, grid = video(), net.sequence.grid
    placement = Placement.of(net, volume, (1, 2, 3))
    wide = opened(net, volume, placement, Grid(dtype, grid.bits))
    assert wide.dtype == dtype
    assert torch.equal(wide, opened(net, volume, placement, grid).to(dtype))


def test_weights_that_are_no_numbers_leave_the_range(net: RevSegNet) -> None:
    volume = video()
    with torch.no_grad():
        net.opening.weight[0, 0] = float("nan")
    found = opened(net, volume, Placement.of(net, volume, (0, 0, 0)), net.sequence.grid)
    assert found[..., 0].max() == 32767


def test_any_number_of_threads_makes_the_same_gradient(net: RevSegNet) -> None:
    volume, threads = video(), torch.get_num_threads()
    placement = Placement.of(net, volume, (1, 2, 3))
    gradient = torch.randn(2, *placement.padded, net.config.channels, generator=torch.Generator().manual_seed(1))
    found = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(
                torch.cat([part.flatten() for part in gradient_of_opening(net, volume, placement, gradient=gradient, start=0)])
            )
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, found[0]) for one in found)
