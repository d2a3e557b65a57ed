"""Classes on a coarser grid: the step at the memory floor, the prediction and net(volume) agree."""

import pytest
import torch

from revseg.network.inference import predict_probabilities
from revseg.network.memory import parameters
from tests.network.plain_step import PlainLoss, assert_close, data, double, gradients

LEVELS = pytest.mark.parametrize("level", [0, 1, 2])


@LEVELS
def test_gradients_are_those_of_the_whole_volume(level):
    net = double(output_level=level)
    volume, labels, frames = data(batch=1)
    result, got = gradients(net, volume, labels, frames)
    logits = net(volume)
    assert logits.shape == (1, 3, *volume.shape[2:])
    labelled = logits[:, :, list(frames)].movedim(1, -1).flatten(0, -2)
    value = PlainLoss().value(PlainLoss().statistics(labelled, labels.flatten().long()))
    assert torch.allclose(result.loss, value)
    assert_close(got, torch.autograd.grad(value, tuple(net.parameters())), 1e-9)


@LEVELS
@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 1, 2)])
def test_a_pixel_has_the_class_of_its_cell(level, offset):
    net = double(output_level=level)
    volume, _, _ = data(batch=1)
    got = torch.cat([part for _, part in predict_probabilities(net, volume[0], [offset])], 1)
    assert got.shape == (3, *volume.shape[2:])
    if offset == (0, 0, 0):
        assert torch.allclose(got, net(volume)[0].softmax(0), rtol=0, atol=1e-12)
    cell = 2**level
    start = [-o % cell for o in offset]
    block = got[:, start[0] : start[0] + cell, start[1] : start[1] + cell, start[2] : start[2] + cell].flatten(1)
    assert torch.equal(block, block[:, :1].expand_as(block))
    assert not torch.allclose(got, got[:, :1, :1, :1].expand_as(got))


@LEVELS
def test_number_of_weights(level):
    net = double(output_level=level)
    assert parameters(net.config) == sum(p.numel() for p in net.parameters())


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match="output_level is 3; give a level from 0 to network.levels=2"):
        double(output_level=3)
    with pytest.raises(ValueError, match="set evidence=none"):
        double(output_level=1, evidence=True)
