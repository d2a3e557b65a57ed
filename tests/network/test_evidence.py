"""A network that sees evidence: it lies beside RGB, in the opening and in the head; the memory-floor ways equal the plain one."""

import pytest
import torch

from revseg import RevSegNet
from revseg.network.config import NetworkConfig
from revseg.network.inference import predict_probabilities
from revseg.network.memory import forecast_prediction, forecast_training, parameters
from revseg.network.network import normalise
from revseg.network.step import training_step
from tests.network import plain_step
from tests.network.plain_step import PlainLoss, assert_close, differentiated, gradients, placed, plainly

pytestmark = pytest.mark.slow

SETTINGS = plain_step.SETTINGS | {"evidence": True}


def network(**settings):
    return plain_step.network(**({"evidence": True} | settings))


def double(**settings):
    return plain_step.double(evidence=True, **settings)


def data(**settings):
    return plain_step.data(inputs=3 + 3 + 1, **settings)


@pytest.mark.parametrize("slab_bytes", [1, 20_000, None])
@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 1, 2)])
@pytest.mark.parametrize("settings", [{}, {"coarsen_time": (False, True), "depth": (2, 0, 1)}])
def test_gradients_equal_plain_autograd_whatever_the_slabs(settings, offset, slab_bytes):
    net, batch = double(**settings), data()
    net.sequence.slab_bytes = slab_bytes
    expected_loss, expected = plainly(net, *batch, offset)
    result, got = gradients(net, *batch, offset=offset)
    assert result.loss.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    assert_close(got, expected, 1e-9)


def test_exact_gradients_are_those_of_the_network_under_autograd():
    net = network(convolution_dtype="float32")
    volume, labels, frames = data()
    _, got = gradients(net, volume, labels, frames)
    _, expected = differentiated(net, net(volume), labels, frames)
    for one, other in zip(got, expected, strict=True):
        assert (one - other).norm() < 1e-3 * other.norm()


@pytest.mark.parametrize("slab_bytes", [1, 20_000, None])
@pytest.mark.parametrize("offset", [(0, 0, 0), (2, 3, 1)])
def test_probabilities_equal_the_softmax_of_the_network(offset, slab_bytes):
    net, (volume, _, _) = double(), data(batch=1)
    net.sequence.slab_bytes = slab_bytes
    parts = list(predict_probabilities(net, volume[0], [offset]))
    with torch.no_grad():
        expected = placed(net, volume, offset)[0].softmax(0)
    assert torch.allclose(torch.cat([part for _, part in parts], 1), expected, rtol=0, atol=1e-10)


def test_several_offsets_are_averaged():
    net, (volume, _, _) = double(), data(batch=1)
    offsets = [(0, 0, 0), (2, 3, 1)]
    with torch.no_grad():
        expected = torch.stack([placed(net, volume, offset)[0].softmax(0) for offset in offsets]).mean(0)
    got = torch.cat([part for _, part in predict_probabilities(net, volume[0], offsets)], 1)
    assert torch.allclose(got.double(), expected, rtol=0, atol=2e-3)  # the sum is kept in float16


@pytest.mark.parametrize("settings", [{}, {"state_dtype": "int16"}, {"arithmetic": "float"}])
def test_the_first_prediction_is_what_the_evidence_says(settings):
    torch.manual_seed(0)
    net, (volume, _, _) = RevSegNet(**SETTINGS, **settings), data(batch=1)
    evidence = volume[0, 3:6].int()
    first, second = evidence.topk(2, 0).values
    clear = first > second + 1
    assert clear.float().mean() > 0.9
    with torch.no_grad():
        logits = net(volume)[0]
    assert torch.equal(logits.argmax(0)[clear], evidence.argmax(0)[clear])
    assert torch.allclose(logits, normalise(volume[0, 3:6]), atol=0.02)
    found = torch.cat([part for _, part in predict_probabilities(net, volume[0])], 1)
    assert torch.equal(found.argmax(0)[clear], evidence.argmax(0)[clear])


def test_without_evidence_no_class_is_preferred_at_first():
    torch.manual_seed(0)
    net, (volume, _, _) = RevSegNet(**SETTINGS), data(batch=1)
    volume[:, 3:] = 0
    with torch.no_grad():
        assert torch.allclose(net(volume).softmax(1), torch.tensor(1 / 3), atol=0.02)


def test_evidence_reaches_other_pixels_through_the_opening():
    """A head alone would mend no pixel by what is known of its neighbours."""
    net, (volume, _, _) = double(depth=2), data(batch=1)
    changed = volume.clone()
    changed[:, 3, 3, 3, 4] = 255 - changed[:, 3, 3, 3, 4]
    with torch.no_grad():
        difference = (net(changed) - net(volume)).abs().sum(1)[0]
    difference[3, 3, 4] = 0
    assert (difference > 1e-9).sum() > 20


def test_a_volume_without_evidence_is_refused():
    volume, labels, frames = data()
    with pytest.raises(ValueError, match=r"give \(N, 7, T, H, W\)"):
        training_step(network(), volume[:, :3], labels, frames, PlainLoss())
    with pytest.raises(ValueError, match=r"give \(N, 7, T, H, W\)"):
        next(predict_probabilities(network(), volume[0, :3]))
    with pytest.raises(ValueError, match=r"give \(N, 3, T, H, W\)"):
        network(evidence=False)(volume)


@pytest.mark.parametrize("settings", [SETTINGS, {"evidence": True}, {"evidence": True, "classes": 6, "channels": 3}])
def test_parameters_are_those_of_the_network(settings):
    assert parameters(NetworkConfig(**settings)) == sum(p.numel() for p in RevSegNet(**settings).parameters())


def test_evidence_is_forecast():
    """Of 2 classes: 3 bytes more of input for each pixel, and nothing of states and adjoints."""
    size = (100, 480, 864)
    pixels = 100 * 480 * 864
    plain, seeing = (
        forecast_training(NetworkConfig(evidence=evidence), size, device="cpu", labelled_frames=4, any_offset=False)
        for evidence in (False, True)
    )
    assert seeing.input - plain.input == 3 * pixels
    assert seeing.input == 6 * pixels + 4 * 480 * 864
    assert seeing.floor == plain.floor
    assert seeing.slab >= plain.slab
    assert forecast_prediction(NetworkConfig(evidence=True, classes=5), size, device="cpu").input == 9 * pixels


def test_the_head_of_a_network_that_sees_evidence_is_forecast_to_take_more():
    """Where one frame is all that fits: 16 bytes for each of 2 x 4 + 2 channels, and 3 more."""
    size = (8, 480, 864)
    plain, seeing = (
        forecast_training(NetworkConfig(evidence=evidence, levels=0, depth=0, slab_bytes=1), size, device="cpu")
        for evidence in (False, True)
    )
    assert (plain.slab, seeing.slab) == (16 * 10 * 480 * 864, 16 * 13 * 480 * 864)


@pytest.mark.parametrize("in_channels", [1, 2, 5, 16])
def test_evidence_lies_after_any_number_of_channels(in_channels):
    net = plain_step.double(evidence=True, in_channels=in_channels)
    batch = plain_step.data(inputs=in_channels + 3 + 1)
    expected_loss, expected = plainly(net, *batch, (3, 1, 2))
    result, got = gradients(net, *batch, offset=(3, 1, 2))
    assert result.loss.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    assert_close(got, expected, 1e-9)
    assert net.head.in_features == 2 * net.config.channels + 3 + 1
    assert parameters(net.config) == sum(part.numel() for part in net.parameters())
    with pytest.raises(ValueError, match=rf"give \(N, {in_channels + 4}, T, H, W\)"):
        net(torch.zeros(1, in_channels + 3, 4, 8, 8))
