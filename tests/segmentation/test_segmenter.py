"""From probabilities to masks: with evidence refine, pool, decide; without it smooth, decide."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from revseg import RevSegNet
from revseg.evidence.config import EvidenceConfig, FlowConfig, PoolConfig, RefineConfig, SmoothingConfig
from revseg.evidence.evidence import Evidence
from revseg.evidence.expectation import ABSENT, expected_similarity, trust
from revseg.evidence.flow import Flow
from revseg.evidence.observation import Observation
from revseg.evidence.smoothing import Given, Smoothing
from revseg.evidence.store import FlowStore
from revseg.labels.masks import resize_sparse
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.network.inference import predict_probabilities, spread_placements
from revseg.runs.phases import phase, recorded
from revseg.segmentation import segmenter as module
from revseg.segmentation.pool import pool
from revseg.segmentation.refine import refine
from revseg.segmentation.segmenter import Mask, Segmented, Segmenter, resized

FLOW = FlowConfig(least_height=32)
ALONE = EvidenceConfig(flow=FLOW, smoothing=SmoothingConfig(sweeps=0))
SMOOTHED = EvidenceConfig(flow=FLOW)


@pytest.fixture
def net() -> RevSegNet:
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3, classes=3)
    torch.nn.init.normal_(net.head.weight)
    return net.eval()


def video_of(volume: Tensor, native: tuple[int, int], labelled: tuple[int, ...] = ()) -> Sample:
    masks = torch.zeros(len(labelled), *native, dtype=torch.uint8)
    return Sample("made", volume, masks, labelled, native, Fraction(24), Path("made"))


def blank(frames: int, size: tuple[int, int], native: tuple[int, int], labelled: tuple[int, ...] = ()) -> Sample:
    return video_of(torch.zeros(3, frames, *size, dtype=torch.uint8), native, labelled)


def still(frames: int, height: int = 32, width: int = 48) -> Flow:
    """Flow of a picture that stays as it is."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (3, 1, height, width), dtype=torch.uint8, generator=generator)
    return Flow(picture.expand(3, frames, height, width).contiguous(), FLOW, store=FlowStore())


def masks_of(frames: Iterator[Segmented]) -> list[Mask]:
    return [frame.mask for frame in frames]


def test_masks_are_the_likeliest_classes(net: RevSegNet) -> None:
    volume = torch.randint(0, 256, (3, 5, 9, 11), dtype=torch.uint8)
    masks = np.stack(masks_of(Segmenter(Observation(video_of(volume, (9, 11))), ALONE).segment(net)))
    assert masks.dtype == np.uint8
    with torch.no_grad():
        logits = net(volume[None])[0]
    sure = logits.topk(2, 0).values.diff(dim=0).abs()[0] > 0.05  # the last bits of the two ways differ
    assert sure.float().mean() > 0.8
    assert np.array_equal(masks[sure], logits.argmax(0).numpy()[sure])


def test_probabilities_are_resized_not_masks(net: RevSegNet, monkeypatch: pytest.MonkeyPatch) -> None:
    object_ = torch.tensor([[0.9, 0.4]])  # at 4 pixels: 0.9, 0.775, 0.525, 0.4
    probabilities = torch.stack([1 - object_, object_, torch.zeros(1, 2)])[:, None]
    monkeypatch.setattr(module, "predict_probabilities", lambda *_, **__: iter([(0, probabilities)]))
    observation = Observation(blank(1, (1, 2), native=(2, 4)))
    ((mask, *_),) = Segmenter(observation, ALONE).segment(net)
    assert mask.tolist() == [[1, 1, 1, 0]] * 2
    ((mask, *_),) = Segmenter(observation, ALONE, size=(1, 2)).segment(net)
    assert mask.tolist() == [[1, 0]]


def test_placements_are_averaged_over(net: RevSegNet) -> None:
    volume = torch.randint(0, 256, (3, 5, 9, 11), dtype=torch.uint8)
    segmenter = Segmenter(Observation(video_of(volume, (9, 11))), ALONE)
    one, three = (np.stack(masks_of(segmenter.segment(net, count))) for count in (1, 3))
    offsets = spread_placements(net.multiple, 3)
    mean = torch.cat([part for _, part in predict_probabilities(net, volume, offsets)], 1)
    assert np.array_equal(three, mean.argmax(0).numpy())
    assert not np.array_equal(three, one)


def evidence_of(objects: Tensor, confidence: int) -> Evidence:
    """(T, H, W) probabilities of the one object."""
    planes = torch.stack([1 - objects, objects, torch.full_like(objects, confidence / 255)])
    return Evidence.from_planes((255 * planes).round().to(torch.uint8))


def test_the_network_has_a_phase_of_its_own(net: RevSegNet) -> None:
    """What takes time in proportion to the network is told apart from what takes it in proportion to the masks."""
    segmenter = Segmenter(Observation(blank(5, (9, 11), native=(9, 11))), ALONE)
    with recorded() as phases:
        with phase("segmenting"):
            assert len(masks_of(segmenter.segment(net, 2))) == 5
        masks_of(segmenter.segment(net))
    assert set(phases.seconds) == {"inference", "segmenting"}
    assert phases.seconds["inference"] > 0


def test_evidence_is_pooled_with_and_its_labels_stay() -> None:
    """Frame 0 is labelled, its last pixel void; the network finds the object everywhere, at half the size."""
    objects = torch.tensor([[[0.0, 0.0, 1.0, 1.0]] * 2] * 2)
    evidence = evidence_of(objects, 255)
    evidence.probabilities[:, 0, 1, 3] = evidence.confidence[0, 1, 3] = 0
    network = torch.tensor([0.3, 0.7]).view(2, 1, 1).expand(2, 1, 2)
    video = blank(2, (1, 2), native=(2, 4), labelled=(0,))
    first, second = masks_of(Segmenter(Observation(video, evidence=evidence), ALONE).decide(iter([network, network])))
    assert first.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]  # the last pixel as the network says
    said = torch.stack([1 - objects[1], objects[1]])
    whole = torch.tensor([0.3, 0.7]).view(2, 1, 1).expand(2, 2, 4)
    expected = pool(whole, said, label_count=1, seen=(1, 2), config=PoolConfig())
    assert np.array_equal(second, expected.argmax(0).numpy())
    # Many labels: the network is heard more than the evidence, but for where that is certain.
    doubtful = Observation(video, evidence=evidence_of(torch.full((2, 2, 4), 0.4), 255))
    first, second = masks_of(Segmenter(doubtful, ALONE, label_count=9).decide(iter([network] * 2)))
    assert first.max() == 0
    assert second.min() == 1


def test_smoothing_is_along_the_flow_at_its_own_size() -> None:
    """A still picture: a frame that says otherwise is outvoted."""
    frames = [torch.tensor([0.1, 0.9]).view(2, 1, 1).expand(2, 16, 24)] * 5
    frames[2] = frames[2].flip(0)
    observation = Observation(blank(5, (16, 24), native=(64, 96)), still(5))
    assert masks_of(Segmenter(observation, ALONE).decide(iter(frames)))[2].max() == 0  # no sweeps
    assert masks_of(Segmenter(replace(observation, flow=None), SMOOTHED).decide(iter(frames)))[2].max() == 0
    smoothed = masks_of(Segmenter(observation, SMOOTHED).decide(iter(frames)))
    assert [mask.shape for mask in smoothed] == [(64, 96)] * 5
    assert min(mask.min() for mask in smoothed) == 1


def test_confidence_of_the_smoothing_without_evidence_is_that_of_the_settings() -> None:
    frames = [torch.tensor([0.1, 0.9]).view(2, 1, 1).expand(2, 16, 24)] * 5
    frames[2] = frames[2].flip(0)
    sure = replace(SMOOTHED, smoothing=SmoothingConfig(prior=1e3, confidence=1.0))
    observation = Observation(blank(5, (16, 24), native=(16, 24)), still(5))
    assert masks_of(Segmenter(observation, sure).decide(iter(frames)))[2].max() == 0


def test_with_each_mask_what_is_expected_of_it() -> None:
    planes = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    observation = Observation(blank(3, (4, 5), native=(4, 5)))
    for frame, probabilities in zip(Segmenter(observation, ALONE).decide(iter(planes)), planes, strict=True):
        assert frame.expected_J == expected_similarity(probabilities, torch.from_numpy(frame.mask).long())


# The order


@pytest.fixture(scope="module")
def seeing() -> RevSegNet:
    """A network of two classes that sees evidence."""
    torch.manual_seed(0)
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3, evidence=True)
    torch.nn.init.normal_(net.head.weight, std=0.5)
    return net.eval()


@pytest.fixture(scope="module")
def observed() -> Observation:
    """5 frames, of which 1 and 3 are labelled; network 8 x 12, flow and evidence 32 x 48, video 40 x 60."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.randint(0, 256, (3, 5, 8, 12), dtype=torch.uint8, generator=generator)
    coarse = torch.rand(1, 5, 16, 24, generator=generator)
    objects = torch.nn.functional.interpolate(coarse, (32, 48), mode="bilinear")[0]
    evidence = evidence_of(objects, 160)
    labels = (objects > 0.5).to(torch.uint8)
    for frame in (1, 3):
        evidence.probabilities[:, frame] = 255 * torch.stack([1 - labels[frame], labels[frame]])
        evidence.confidence[frame] = 255
        evidence.probabilities[:, frame, :4], evidence.confidence[frame, :4] = 0, 0  # void
    return Observation(video_of(volume, (40, 60), (1, 3)), still(5), evidence, evidence.resized((8, 12)))


CONFIG = EvidenceConfig(flow=FLOW, pool=PoolConfig(detail=0.5), refine=RefineConfig(detail_trust=0.4))


def refined_of(net: RevSegNet, observed: Observation, placements: int) -> list[Tensor]:
    seen, evidence = observed.seen, observed.evidence
    assert seen is not None
    assert evidence is not None
    offsets = spread_placements(net.multiple, placements)
    said = torch.cat([part for _, part in predict_probabilities(net, observed.inputs, offsets)], 1)
    return [refine(net, said[:, frame], seen=seen, evidence=evidence, frame=frame, config=CONFIG.refine) for frame in range(5)]


def in_order(net: RevSegNet, observed: Observation, label_count: int, placements: int) -> list[tuple[Tensor, float]]:
    """Probabilities at the video's own size, each stage for all frames at once; and how far they can be trusted."""
    evidence, refined = observed.evidence, refined_of(net, observed, placements)
    assert evidence is not None
    pooled = []
    for frame in range(5):
        known = evidence.frame(frame)[0]
        if frame in (1, 3):
            pooled.append(torch.where(known.sum(0) > 0, known, refined[frame]))
        else:
            pooled.append(pool(refined[frame], known, label_count=label_count, seen=(8, 12), config=CONFIG.pool))
    trusted = [trust(found, evidence.frame(frame)[1]) for frame, found in enumerate(pooled)]
    return [(resized(found, (40, 60)), each) for found, each in zip(pooled, trusted, strict=True)]


@pytest.mark.parametrize(("label_count", "placements"), [(1, 1), (2, 1), (2, 3)])
def test_refine_pool_decide(seeing: RevSegNet, observed: Observation, label_count: int, placements: int) -> None:
    expected = in_order(seeing, observed, label_count, placements)
    found = list(Segmenter(observed, CONFIG, label_count=label_count).segment(seeing, placements))
    for frame, (probabilities, trusted) in zip(found, expected, strict=True):
        assert np.array_equal(frame.mask, probabilities.argmax(0).numpy())
        assert frame.expected_J == pytest.approx(trusted * expected_similarity(probabilities, probabilities.argmax(0)))
    assert min(trusted for _, trusted in expected) < 0.99


@pytest.mark.parametrize(
    "without",
    [
        {"refine": RefineConfig(detail_trust=40.0)},
        {"pool": PoolConfig(detail=0.5, of_one_frame=1.0)},
    ],
    ids=lambda without: next(iter(without)),
)
def test_no_stage_is_without_effect(seeing: RevSegNet, observed: Observation, without: dict) -> None:
    """Otherwise the test above would not miss it."""
    whole, less = (masks_of(Segmenter(observed, config).segment(seeing)) for config in (CONFIG, replace(CONFIG, **without)))
    assert not np.array_equal(whole, less)


def test_with_evidence_which_agrees_in_time_nothing_is_smoothed_again(seeing: RevSegNet, observed: Observation) -> None:
    """Each look-up between pixels wears what is thin away."""
    less, more = (replace(CONFIG, smoothing=SmoothingConfig(sweeps=sweeps)) for sweeps in (0, 5))
    assert np.array_equal(*(masks_of(Segmenter(observed, config).segment(seeing)) for config in (less, more)))


def test_labelled_frames_keep_their_labels_through_all_stages(seeing: RevSegNet, observed: Observation) -> None:
    """Where they are void, the network says what is there."""
    assert observed.evidence is not None
    masks = masks_of(Segmenter(observed, CONFIG, label_count=2, size=(32, 48)).segment(seeing))
    for frame in (1, 3):
        labels = observed.evidence.probabilities[:, frame].argmax(0).numpy()
        assert np.array_equal(masks[frame][4:], labels[4:])
        assert 0 < labels[4:].mean() < 1
        assert np.array_equal(masks[frame][:4], refined_of(seeing, observed, 1)[frame].argmax(0)[:4].numpy())


def test_without_labels_the_network_is_neither_refined_nor_pooled(seeing: RevSegNet, observed: Observation) -> None:
    """A video that shows but what moves; it is smoothed all the same."""
    moving = replace(observed, video=observed.video.select([]), evidence=None)
    said = torch.cat([part for _, part in predict_probabilities(seeing, observed.inputs)], 1)
    given = [Given(resized(found, (32, 48)).numpy(), CONFIG.smoothing.confidence) for found in said.unbind(1)]
    assert observed.flow is not None
    expected = [resized(torch.from_numpy(found), (40, 60)) for found in Smoothing(observed.flow, CONFIG.smoothing)(given)]
    for mask, probabilities in zip(masks_of(Segmenter(moving, CONFIG).segment(seeing)), expected, strict=True):
        assert np.array_equal(mask, probabilities.argmax(0).numpy())


def with_masks(observed: Observation, masks: dict[int, Tensor]) -> Observation:
    video = replace(observed.video, masks=torch.stack([*masks.values()]), labelled_frames=tuple(masks))
    return replace(observed, video=video)


def test_labels_are_kept_at_the_own_size_of_the_video(seeing: RevSegNet, observed: Observation) -> None:
    """Thinner than a pixel of the evidence, 32 x 48: a line, and single pixels. Where a label is void, the network says."""
    mask = (torch.rand(40, 60, generator=torch.Generator().manual_seed(1)) > 0.5).to(torch.uint8)
    mask[:, 7] = 1 - mask[:, 7].roll(1)
    mask[5:9, 5:9] = VOID
    kept = with_masks(observed, {1: mask, 3: 1 - mask.clamp(max=1)})
    with_labels, without = (
        masks_of(Segmenter(kept, CONFIG, label_count=2, keeps_labels=keeps).segment(seeing)) for keeps in (True, False)
    )
    known = (mask != VOID).numpy()
    assert np.array_equal(with_labels[1][known], mask.numpy()[known])
    assert np.array_equal(with_labels[1][~known], without[1][~known])
    assert np.array_equal(with_labels[3], 1 - mask.clamp(max=1).numpy())
    for frame in (0, 2, 4):
        assert np.array_equal(with_labels[frame], without[frame])


def test_labels_are_kept_without_evidence_too(net: RevSegNet) -> None:
    video = blank(2, (4, 6), native=(8, 12), labelled=(1,))
    video.masks[0, 3, 5] = 2
    _, mask = masks_of(Segmenter(Observation(video), ALONE, keeps_labels=True).segment(net))
    assert np.array_equal(mask, video.masks[0].numpy())


def test_frames_with_a_few_labels_keep_these_and_the_network_says_the_rest(seeing: RevSegNet, observed: Observation) -> None:
    masks = torch.zeros(3, 40, 60, dtype=torch.uint8)
    masks[1] = VOID
    masks[1, 10, 20:40], masks[1, 11, 20:40] = 1, 0
    sparse = with_masks(observed, {1: masks[0], 2: masks[1], 3: masks[2]})
    assert sparse.fixed == (1, 3)
    before, after = (
        masks_of(Segmenter(sparse, CONFIG, label_count=2, size=(40, 60), keeps_labels=keeps).segment(seeing))
        for keeps in (False, True)
    )
    assert np.array_equal(after[2][10:12, 20:40], masks[1, 10:12, 20:40].numpy())
    for frame in (0, 4):
        assert np.array_equal(before[frame], after[frame])
    changed = before[2] != after[2]
    assert changed.any()
    assert not changed[:10].any()
    assert not changed[12:].any()
    small = Segmenter(sparse, CONFIG, label_count=2, size=(32, 48), keeps_labels=True).segment(seeing)
    labels = resize_sparse(masks[1].numpy(), 32, 48)
    assert np.array_equal(masks_of(small)[2][labels != VOID], labels[labels != VOID])


def test_an_object_that_the_evidence_has_nowhere_is_not_there() -> None:
    """Whatever the network says; labels stay, and where nothing is known the network is asked."""
    size = 12, 10
    labels = torch.zeros(1, *size, dtype=torch.uint8)
    labels[0, :6], labels[0, 8:] = 1, 2
    video = replace(blank(5, size, size, (0,)), masks=labels)
    planes = torch.zeros(4, 5, *size, dtype=torch.uint8)
    planes[0, 2:], planes[-1] = 255, 255
    planes[:, 3, 8:] = torch.tensor([55, 0, 200, 255])[:, None, None]
    planes[:, 4] = 0
    network = (labels == torch.arange(3)[:, None, None]).float().expand(5, 3, *size)
    observation = Observation(video, evidence=Evidence.from_planes(planes))
    found = list(Segmenter(observation, ALONE, label_count=9, keeps_labels=True).decide(iter(network)))
    counts = [np.bincount(one.mask.ravel(), minlength=3)[1:].tolist() for one in found]
    assert counts == [[60, 40], [60, 40], [0, 0], [0, 40], [60, 40]]
    assert found[2].expected_J == ABSENT


def test_labelled_points_stay() -> None:
    """Three points of an object that the evidence has nowhere in that frame."""
    size = 40, 50
    labels = torch.zeros(2, *size, dtype=torch.uint8)
    labels[0, :20, :20], labels[1] = 1, VOID
    labels[1, 5, 5:8] = 1
    video = replace(blank(2, size, size, (0, 1)), masks=labels)
    planes = torch.zeros(3, 2, *size, dtype=torch.uint8)
    planes[0], planes[-1] = 255, 255
    segmenter = Segmenter(Observation(video, evidence=Evidence.from_planes(planes)), ALONE, keeps_labels=True)
    _, mask = masks_of(segmenter.decide(iter(planes[:2].permute(1, 0, 2, 3) / 255)))
    assert mask.sum() == mask[5, 5:8].sum() == 3
