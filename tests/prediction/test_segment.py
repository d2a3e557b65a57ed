"""From probabilities to masks."""

import numpy as np
import pytest
import torch

from revseg import RevSegNet
from revseg.prediction import segment as module
from revseg.prediction.segment import segment


@pytest.fixture
def net() -> RevSegNet:
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3, classes=3)
    torch.nn.init.normal_(net.head.weight)
    return net.eval()


def test_masks_are_the_likeliest_classes(net: RevSegNet) -> None:
    volume = torch.randint(0, 256, (3, 5, 9, 11), dtype=torch.uint8)
    masks = np.stack(list(segment(net, volume)))
    assert masks.dtype == np.uint8
    with torch.no_grad():
        logits = net(volume[None])[0]
    sure = logits.topk(2, 0).values.diff(dim=0).abs()[0] > 0.05  # the last bits of the two ways differ
    assert sure.float().mean() > 0.8
    assert np.array_equal(masks[sure], logits.argmax(0).numpy()[sure])


def test_probabilities_are_resized_not_masks(net: RevSegNet, monkeypatch: pytest.MonkeyPatch) -> None:
    object_ = torch.tensor([[0.9, 0.4]])  # at 4 pixels: 0.9, 0.775, 0.525, 0.4
    probabilities = torch.stack([1 - object_, object_, torch.zeros(1, 2)])[:, None]
    monkeypatch.setattr(module, "predict_probabilities", lambda *_: iter([(0, probabilities)]))
    (mask,) = segment(net, torch.zeros(3, 1, 1, 2, dtype=torch.uint8), size=(2, 4))
    assert mask.tolist() == [[1, 1, 1, 0]] * 2
