"""The training step at the memory floor gives the gradients of the plain way: net(volume), loss, backward."""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.network import normalise
from revseg.network.step import training_step
from revseg.reversible.run import Run
from tests.network.plain_step import VOID, PlainLoss, assert_close, data, differentiated, double, gradients, network, plainly

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("slab_bytes", [1, 20_000, None])
@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 1, 2)])
@pytest.mark.parametrize("settings", [{}, {"rank": (3, 3, 2)}, {"coarsen_time": (False, True), "depth": (2, 0, 1)}])
def test_gradients_equal_plain_autograd_whatever_the_slabs(settings, offset, slab_bytes):
    net, batch = double(**settings), data()
    net.sequence.slab_bytes = slab_bytes
    expected_loss, expected = plainly(net, *batch, offset)
    result, got = gradients(net, *batch, offset=offset)
    assert result.loss.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    assert_close(got, expected, 1e-9)


@pytest.mark.parametrize("convolution", ["float32", "bfloat16"])
@pytest.mark.parametrize("adjoint", ["float32", "bfloat16"])
@pytest.mark.parametrize("container", ["float32", "int32", "int16"])
def test_exact_arithmetic_gives_nearly_the_same_gradients(container, adjoint, convolution):
    net = network(state_dtype=container, adjoint_dtype=adjoint, convolution_dtype=convolution)
    net.sequence.slab_bytes = 20_000
    reference = double()
    reference.load_state_dict(net.state_dict())
    _, expected = plainly(reference, *data())
    result, got = gradients(net, *data())
    tolerance = 0.05 if "bfloat16" not in (adjoint, convolution) and container != "int16" else 0.2
    largest = max(part.norm() for part in expected)
    for one, other in zip(got, expected, strict=True):  # some are small differences of large sums
        assert (one - other).norm() < tolerance * max(other.norm(), largest / 20)
    assert 0.1 < result.state_range < net.sequence.grid.limit


def test_exact_gradients_are_those_of_the_network_under_autograd():
    """Both ways run the same blocks on the same grid: only sums over pixels and frames differ in order."""
    net = network(convolution_dtype="float32")
    volume, labels, frames = data()
    _, got = gradients(net, volume, labels, frames)
    _, expected = differentiated(net, net(volume), labels, frames)
    for one, other in zip(got, expected, strict=True):
        assert (one - other).norm() < 1e-3 * other.norm()


def test_gradients_accumulate():
    net, first, second = double(), data(seed=1), data(seed=2)
    separate = [gradients(net, *batch)[1] for batch in (first, second)]
    net.zero_grad()
    for batch in (first, second):
        training_step(net, *batch, loss=PlainLoss())
    for parameter, one, other in zip(net.parameters(), *separate, strict=True):
        assert torch.allclose(parameter.grad, one + other, rtol=1e-10, atol=1e-14)


def test_void_pixels_and_unlabelled_frames_count_nothing():
    """A frame of void pixels changes nothing, nor does the order of the frames."""
    net, (volume, labels, frames) = double(), data()
    _, got = gradients(net, volume, labels, frames)
    _, reordered = gradients(net, volume, labels.flip(1), frames[::-1])
    assert_close(reordered, got, 1e-10)
    added = torch.cat([labels, torch.full_like(labels[:, :1], VOID)], 1)
    _, with_void_frame = gradients(net, volume, added, (*frames, 0))
    assert_close(with_void_frame, got, 1e-10)


def test_statistics_are_those_of_all_labelled_pixels():
    net, (volume, labels, frames) = double(), data()
    result, _ = gradients(net, volume, labels, frames)
    assert result.statistics[1].item() == (labels != VOID).sum().item()
    assert result.statistics[4].item() == (labels == 1).sum().item()
    assert not result.loss.requires_grad
    assert not result.statistics.requires_grad


def test_float_volumes_are_taken_as_normalised():
    net, (volume, labels, frames) = double(), data()
    _, got = gradients(net, volume, labels, frames)
    _, other = gradients(net, normalise(volume, torch.float64), labels, frames)
    assert_close(got, other, 1e-12)


def test_autocast_changes_nothing():
    net, batch = network(convolution_dtype="float32"), data()
    _, expected = gradients(net, *batch)
    with torch.autocast("cpu", torch.bfloat16):
        _, got = gradients(net, *batch)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize("depth", [0, (0, 0, 1)])
def test_a_network_of_few_or_no_blocks_trains(depth):
    net, batch = double(depth=depth), data()
    _, expected = plainly(net, *batch)
    assert_close(gradients(net, *batch)[1], expected, 1e-9)


def test_a_state_out_of_range_stops_and_leaves_no_gradient():
    net, (volume, labels, frames) = network(state_dtype="int16"), data()
    with torch.no_grad():
        net.opening.weight.mul_(1e4)
    with pytest.raises(OverflowError, match="lower network.step_size"):
        training_step(net, volume, labels, frames, PlainLoss())
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("frames", [(), (-1, 4, 5), (1, 4, 6)])
def test_frames_that_do_not_exist_are_refused(frames):
    volume, labels, _ = data()
    with pytest.raises(ValueError, match="give at least one, from 0 to 5"):
        training_step(network(), volume, labels[:, : len(frames)], frames, PlainLoss())


def test_labels_of_another_shape_are_refused():
    volume, labels, frames = data()
    with pytest.raises(ValueError, match=r"do not fit 3 labelled frames .* give \(N, L, H, W\)"):
        training_step(network(), volume, labels[:, :2], frames, PlainLoss())
    with pytest.raises(ValueError, match=r"give \(N, 3, T, H, W\)"):
        training_step(network(), volume[0], labels, frames, PlainLoss())


@pytest.mark.parametrize("slab_bytes", [1, 20_000, None])
def test_kept_hidden_activations_change_no_bit(slab_bytes):
    """7 convolutions a block instead of 8 where channels are twice the rank, in any number of slabs; both samples of a batch."""
    volume = torch.randint(0, 256, (2, 3, 9, 20, 25), dtype=torch.uint8)
    labels = torch.randint(0, 2, (2, 2, 20, 25))
    found = []
    for keep in (False, True):
        torch.manual_seed(0)
        net = RevSegNet(channels=2, rank=2, depth=(1, 1, 2, 1), keep_hidden=keep, slab_bytes=slab_bytes)
        result = training_step(net, volume, labels, [0, 8], PlainLoss(), (1, 2, 3))
        found.append((result.loss, [p.grad for p in net.parameters()]))
    assert torch.equal(found[0][0], found[1][0])
    assert all(map(torch.equal, found[0][1], found[1][1]))


@pytest.mark.parametrize("settings", [{}, {"levels": 0}, {"depth": (0, 0, 1)}])
@pytest.mark.parametrize("container", ["float32", "int32", "int16"])
def test_a_step_tells_that_it_came_back_to_the_opening(container, settings):
    """In several slabs and runs of frames, as in one; floating point has no bits to come back to."""
    for slab_bytes in (20_000, None):
        net = network(state_dtype=container, **settings)
        net.sequence.slab_bytes = slab_bytes
        result, _ = gradients(net, *data(), offset=(1, 2, 3))
        assert result.inverted is True
    assert gradients(double(**settings), *data())[0].inverted is None


@pytest.mark.parametrize("slab_bytes", [1, None])
@pytest.mark.parametrize("at", [["partner"], ["curr"]])
def test_a_step_tells_that_it_did_not_come_back(at, slab_bytes, monkeypatch):
    """One value of the last state is off by one unit: a bit that flipped between the passes."""
    adjoint_ = Run.adjoint_

    def corrupted(self, state, *rest, **more):
        for field in at:
            getattr(state, field)[-1, 3, 5, 6, 0] += 1
        return adjoint_(self, state, *rest, **more)

    net = network()
    net.sequence.slab_bytes = slab_bytes
    monkeypatch.setattr(Run, "adjoint_", corrupted)
    assert gradients(net, *data())[0].inverted is False


@pytest.mark.parametrize("frame", [0, 3, 7])
@pytest.mark.parametrize("slab_bytes", [1, None])
def test_a_step_tells_that_it_came_back_to_another_opening(frame, slab_bytes, monkeypatch):
    """The state is at rest again, (y, y), but in one value, of one frame, y is not what it was."""
    adjoint_ = Run.adjoint_

    def corrupted(self, state, *rest, **more):
        found = adjoint_(self, state, *rest, **more)
        state.partner[0, frame, 1, 2, 1] += 1
        state.curr[0, frame, 1, 2, 1] += 1
        return found

    net = network(levels=0)
    net.sequence.slab_bytes = slab_bytes
    monkeypatch.setattr(Run, "adjoint_", corrupted)
    assert gradients(net, *data(size=(8, 7, 9)))[0].inverted is False


def test_a_step_with_frozen_parts():
    """Others' gradients keep their bits; where the pass ends early it cannot tell whether it came back."""
    net, batch = network(), data()
    training_step(net, *batch, loss=PlainLoss())
    expected = {name: part.grad.clone() for name, part in net.named_parameters()}
    layers = [name for name in expected if name.endswith(("kernel", "bias")) and name.startswith("sequence")]
    heads, openings = (tuple(f"{part}.{kind}" for kind in ("weight", "bias")) for part in ("head", "opening"))
    for frozen, inverted in [
        (openings, True),
        (heads, True),
        (layers, True),
        (layers[:4], True),
        ((*openings, *layers[:4]), None),
        ((*openings, *layers), None),
        (tuple(expected), None),
    ]:
        net.zero_grad()
        for name, part in net.named_parameters():
            part.requires_grad_(name not in frozen)
        result = training_step(net, *batch, loss=PlainLoss()) if frozen != tuple(expected) else None
        for name, part in net.named_parameters():
            assert part.grad is None if name in frozen else torch.equal(part.grad, expected[name])
        assert result is None or result.inverted is inverted
