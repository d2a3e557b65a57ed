"""Probabilities handed out a few frames at a time equal softmax(net(volume)); offsets are averaged."""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.inference import predict_probabilities, spread_placements
from revseg.network.network import normalise

pytestmark = pytest.mark.slow

SIZE = (7, 6, 9)  # T not divisible by 4, nor H, nor W


@pytest.fixture
def net():
    torch.manual_seed(0)
    made = RevSegNet(
        channels=2,
        classes=3,
        levels=2,
        depth=1,
        rank=3,
        step_size=0.5,
        arithmetic="float",
        state_dtype="float64",
    )
    torch.nn.init.normal_(made.head.weight)
    return made.double()


@pytest.fixture
def volume():
    return torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def gather(parts):
    """The parts must follow one another without gap or overlap."""
    parts, expected_start = list(parts), 0
    for start, part in parts:
        assert start == expected_start
        expected_start += part.shape[1]
    return torch.cat([part for _, part in parts], 1), len(parts)


def plainly(net, volume, offset=(0, 0, 0)):
    t, h, w = offset
    placed = torch.zeros(1, 3, t + SIZE[0], h + SIZE[1], w + SIZE[2], dtype=torch.float64)
    placed[:, :, t:, h:, w:] = normalise(volume, torch.float64)
    with torch.no_grad():
        return net(placed)[0, :, t:, h:, w:].softmax(0)


@pytest.mark.parametrize("slab_bytes", [1, 20_000, None])
@pytest.mark.parametrize("offset", [(0, 0, 0), (2, 3, 1)])
def test_one_offset_equals_the_softmax_of_the_network(net, volume, offset, slab_bytes):
    net.sequence.slab_bytes = slab_bytes
    probabilities, count = gather(predict_probabilities(net, volume, [offset]))
    assert probabilities.shape == (3, *SIZE)
    assert torch.allclose(probabilities, plainly(net, volume, offset), rtol=0, atol=1e-10)
    assert count == {1: SIZE[0], None: 1}.get(slab_bytes, count)


@pytest.mark.parametrize("slab_bytes", [1, None])
def test_several_offsets_are_averaged(net, volume, slab_bytes):
    net.sequence.slab_bytes = slab_bytes
    offsets = [(0, 0, 0), (2, 3, 1), (1, 0, 2)]
    expected = torch.stack([plainly(net, volume, offset) for offset in offsets])
    probabilities, _ = gather(predict_probabilities(net, volume, offsets))
    assert probabilities.dtype == torch.float32
    assert torch.allclose(probabilities.double(), expected.mean(0), rtol=0, atol=2e-3)  # the sum is kept in float16
    assert (expected[0] - expected.mean(0)).abs().max() > 2e-2


def test_exact_arithmetic_predicts_what_the_network_gives(volume):
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=2, depth=1, rank=3, state_dtype="int16", convolution_dtype="bfloat16")
    with torch.no_grad():
        expected = net(volume[None])[0].softmax(0)
    probabilities, _ = gather(predict_probabilities(net, volume))
    assert torch.allclose(probabilities, expected, rtol=0, atol=5e-3)


def test_autocast_changes_nothing(volume):
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=2, depth=1, rank=3, convolution_dtype="float32")
    expected, _ = gather(predict_probabilities(net, volume))
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = gather(predict_probabilities(net, volume))
    assert torch.equal(got, expected)


def test_prediction_builds_no_graph_and_leaves_no_gradient(net, volume):
    probabilities, _ = gather(predict_probabilities(net, volume))
    assert not probabilities.requires_grad
    assert torch.is_grad_enabled()


def test_a_volume_with_a_batch_axis_is_refused(net, volume):
    with pytest.raises(ValueError, match="shape"):
        list(predict_probabilities(net, volume[None]))


def test_states_that_leave_16_bits_are_held_in_32(volume):
    """Bit for bit what the same grid in float32 gives, and the network stays as it is."""
    narrow, wide = (
        RevSegNet(channels=2, levels=2, depth=1, rank=3, state_dtype=dtype, grid_bits=14) for dtype in ("int16", "float32")
    )
    wide.load_state_dict(narrow.state_dict())
    got, expected = (gather(predict_probabilities(net, volume))[0] for net in (narrow, wide))
    assert torch.equal(got, expected)
    assert narrow.sequence.grid.dtype == torch.int16
    with pytest.raises(OverflowError, match="int16"):
        narrow(volume[None])


def test_a_state_out_of_range_stops(volume):
    net = RevSegNet(channels=2, levels=2, depth=1, rank=3, grid_bits=20)
    with torch.no_grad():
        net.opening.weight.mul_(100)
    with pytest.raises(OverflowError, match="lower"):
        list(predict_probabilities(net, volume))


def test_placements_are_distinct_phases_of_the_grid():
    assert spread_placements((8, 8, 8), 1) == [(0, 0, 0)]
    offsets = spread_placements((8, 8, 8), 6)
    assert len(set(offsets)) == 6
    assert all(0 <= o < m for offset in offsets for o, m in zip(offset, (8, 8, 8), strict=True))
    assert all(len({offset[axis] for offset in offsets}) >= 3 for axis in range(3))
    assert {offset[0] for offset in spread_placements((1, 8, 8), 5)} == {0}
