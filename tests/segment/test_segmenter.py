"""From probabilities to masks."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from revseg import RevSegNet
from revseg.evidence.flow import Flow
from revseg.evidence.smoothing import Smoothing
from revseg.segment import segmenter as module
from revseg.segment.expectation import expected_similarity
from revseg.segment.pool import pool
from revseg.segment.segmenter import Guide, Mask, Segmented, decide, segment


@pytest.fixture
def net() -> RevSegNet:
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3, classes=3)
    torch.nn.init.normal_(net.head.weight)
    return net.eval()


def masks_of(frames: Iterator[Segmented]) -> list[Mask]:
    return [frame.mask for frame in frames]


def test_masks_are_the_likeliest_classes(net: RevSegNet) -> None:
    volume = torch.randint(0, 256, (3, 5, 9, 11), dtype=torch.uint8)
    masks = np.stack(masks_of(segment(net, volume)))
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
    ((mask, _),) = segment(net, torch.zeros(3, 1, 1, 2, dtype=torch.uint8), size=(2, 4))
    assert mask.tolist() == [[1, 1, 1, 0]] * 2


def evidence_of(objects: torch.Tensor, confidence: int) -> torch.Tensor:
    """(T, H, W) probabilities of the one object -> (3, T, H, W) uint8."""
    planes = torch.stack([1 - objects, objects, torch.full_like(objects, confidence / 255)])
    return (255 * planes).round().to(torch.uint8)


def test_a_guide_is_pooled_with_and_its_labels_stay() -> None:
    """Frame 0 is labelled, its last pixel void; the network finds the object everywhere, at half the size."""
    objects = torch.tensor([[[0.0, 0.0, 1.0, 1.0]] * 2] * 2)
    evidence = evidence_of(objects, 255)
    evidence[:, 0, 1, 3] = 0
    network = torch.tensor([0.3, 0.7]).view(2, 1, 1).expand(2, 1, 2)
    first, second = masks_of(decide(iter([network, network]), (2, 4), Guide(evidence, {0}, 1, (1, 2))))
    assert first.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]  # the last pixel as the network says
    said = torch.stack([1 - objects[1], objects[1]])
    expected = pool(torch.tensor([0.3, 0.7]).view(2, 1, 1).expand(2, 2, 4), said, 1, (1, 2))
    assert np.array_equal(second, expected.argmax(0).numpy())
    # Many labels: the network is heard more than the evidence, but for where that is certain.
    doubtful = Guide(evidence_of(torch.full((2, 2, 4), 0.4), 255), {0}, 9, (1, 2))
    first, second = masks_of(decide(iter([network] * 2), (2, 4), doubtful))
    assert first.max() == 0
    assert second.min() == 1


def test_smoothing_is_along_the_flow_at_its_own_size() -> None:
    """A still picture: a frame that says otherwise is outvoted."""
    picture = torch.randint(0, 256, (3, 1, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    flow = Flow(picture.expand(3, 5, 32, 48).contiguous())
    frames = [torch.tensor([0.1, 0.9]).view(2, 1, 1).expand(2, 16, 24)] * 5
    frames[2] = frames[2].flip(0)
    assert masks_of(decide(iter(frames), (64, 96)))[2].max() == 0
    smoothed = masks_of(decide(iter(frames), (64, 96), smoothing=Smoothing(flow)))
    assert [mask.shape for mask in smoothed] == [(64, 96)] * 5
    assert min(mask.min() for mask in smoothed) == 1


def test_with_each_mask_what_is_expected_of_it() -> None:
    planes = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    for frame, probabilities in zip(decide(iter(planes), (4, 5)), planes, strict=True):
        assert frame.expected_J == expected_similarity(probabilities, torch.from_numpy(frame.mask).long())
