"""What a network that sees evidence is shown in a step, and asked for."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence.cache import EvidenceCache
from revseg.evidence.config import EvidenceConfig, FlowConfig
from revseg.evidence.observation import observe
from revseg.evidence.store import FlowStore
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.tasks.config import GuidanceConfig
from revseg.tasks.guidance import Guidance, shares_of
from revseg.training.item import Item

pytestmark = pytest.mark.slow

FRAMES, HEIGHT, WIDTH = 9, 32, 48
LABELLED, OTHERS = (0, 4, 8), (1, 2, 3, 5, 6, 7)
PLAIN = GuidanceConfig(returned=0, blind=0, pseudo_frames=0)
SHARES, SHARES_OF_ONE = PLAIN.shares, PLAIN.shares_of_one
EVIDENCE = EvidenceConfig(flow=FlowConfig(least_height=4 * HEIGHT))


def texture(seed: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def square(scale: int = 1) -> Sample:
    """A square of class 1 that runs over still ground, and its labels in all frames; scale: of all sizes."""
    volume = np.repeat(texture(0, scale * HEIGHT, scale * WIDTH)[None], FRAMES, axis=0)
    labels = np.zeros(volume.shape[:3], np.uint8)
    for frame in range(FRAMES):
        at = slice(scale * 8, scale * 24), slice(scale * (4 + 2 * frame), scale * (20 + 2 * frame))
        volume[frame][at] = texture(1, scale * 16, scale * 16)
        labels[frame][at] = 1
    pixels = torch.from_numpy(volume).permute(3, 0, 1, 2).contiguous()
    names = tuple(f"{frame:05d}" for frame in range(FRAMES))
    size = scale * HEIGHT, scale * WIDTH
    return Sample("a", pixels, torch.from_numpy(labels), tuple(range(FRAMES)), size, Fraction(24), Path("a.mp4"), names)


def guidance_of(labelled: Sample, config: GuidanceConfig = PLAIN, seed: int = 0) -> Guidance:
    """Of a network that sees frames of HEIGHT lines."""
    observation = observe(
        labelled,
        height=HEIGHT,
        classes=2,
        config=EVIDENCE,
        store=FlowStore(),
        cache=EvidenceCache(None),
        shares=shares_of(config, labelled.whole_frames),
    )
    return Guidance(observation, config, seed)


@pytest.fixture(scope="module")
def made() -> Guidance:
    """Labels that were carried along once, for all tests; flow of small frames is fast."""
    return guidance_of(square().select(LABELLED))


def guidance(made: Guidance, seed: int = 0, **settings: float) -> Guidance:
    """The same with other settings."""
    return replace(made, config=replace(PLAIN, **settings), seed=seed)


def planes_of(made: Guidance) -> torch.Tensor:
    """What is known of all frames, at the size of the network."""
    assert made.observation.seen is not None
    return made.observation.seen.planes()


def shown_in(item: Item) -> torch.Tensor:
    assert item.evidence is not None
    return item.evidence.planes()


def labels_of(item: Item, frames: tuple[int, ...] | list[int]) -> torch.Tensor:
    return item.labels[[item.labelled_frames.index(frame) for frame in frames]]


def shown(made: Guidance, index: int, frame: int) -> str | int:
    """What the evidence of a labelled frame is in a step: its labels, nothing, or the number of a share."""
    evidence = shown_in(made.item(index))[:, frame]
    if torch.equal(evidence, planes_of(made)[:, frame]):
        return "labels"
    if not evidence.any():
        return "nothing"
    returned = made.observation.returned[LABELLED.index(frame)]
    (number,) = [share for share in range(returned.frames) if torch.equal(evidence, returned.planes()[:, share])]
    return number


def equal(one: Item, other: Item) -> bool:
    tensors = zip((one.volume, one.labels, shown_in(one)), (other.volume, other.labels, shown_in(other)), strict=True)
    return one.labelled_frames == other.labelled_frames and all(torch.equal(*pair) for pair in tensors)


def test_an_item_depends_on_seed_and_number_alone(made: Guidance) -> None:
    settings = {"returned": 0.5, "blind": 0.2, "pseudo_frames": 2}
    one, two, other = (guidance(made, seed, **settings) for seed in (3, 3, 4))
    forwards = [one.item(index) for index in range(8)]
    backwards = [two.item(index) for index in reversed(range(8))][::-1]
    assert all(map(equal, forwards, backwards))
    assert not all(equal(forwards[0], item) for item in forwards)
    assert not all(equal(forwards[index], other.item(index)) for index in range(8))


def test_labels_are_shown_as_they_are(made: Guidance) -> None:
    item, video = guidance(made).item(0), made.observation.video
    assert torch.equal(shown_in(item), planes_of(made))
    assert torch.equal(item.volume, video.volume)
    assert torch.equal(item.labels, video.labels)
    assert item.labelled_frames == LABELLED
    assert {shown(guidance(made), index, frame) for index in range(9) for frame in LABELLED} == {"labels"}


def test_what_comes_back_is_shown(made: Guidance) -> None:
    """Of all labelled frames, each time another share of the way; what is asked for is the truth."""
    always = guidance(made, returned=1)
    for frame in LABELLED:
        assert {shown(always, index, frame) for index in range(30)} == set(range(len(SHARES)))
    for index in range(5):
        assert torch.equal(always.item(index).labels, made.observation.video.labels)
        for frame in OTHERS:
            assert torch.equal(shown_in(always.item(index))[:, frame], planes_of(made)[:, frame])
    found = [shown(guidance(made, returned=0.3), index, frame) for index in range(100) for frame in LABELLED]
    assert 0.2 < np.mean([what != "labels" for what in found]) < 0.4


def test_blind_steps_show_nothing(made: Guidance) -> None:
    blind = guidance(made, blind=1, returned=1)
    assert not any(shown_in(blind.item(index)).any() for index in range(9))
    assert torch.equal(blind.item(0).labels, made.observation.video.labels)
    some = [shown(guidance(made, blind=0.3), index, 0) == "nothing" for index in range(200)]
    assert 0.2 < np.mean(some) < 0.4


def test_items_leave_what_is_known_as_it_was(made: Guidance) -> None:
    video, returned = made.observation.video, [one.planes() for one in made.observation.returned]
    evidence, volume, labels = planes_of(made), video.volume.clone(), video.labels.clone()
    for index in range(5):
        given = guidance(made, returned=1, blind=0.5, pseudo_frames=3).item(index).evidence
        assert given is not None
        given.planes().zero_()
    assert torch.equal(planes_of(made), evidence)
    assert all(torch.equal(one.planes(), before) for one, before in zip(made.observation.returned, returned, strict=True))
    assert torch.equal(video.volume, volume)
    assert torch.equal(video.labels, labels)


def test_frames_that_flow_is_sure_of_are_trained_on(made: Guidance) -> None:
    """Void where it is not; the labels that were given stay as they are."""
    truth = square().labels
    numbers = set()
    for index in range(20):
        item = guidance(made, pseudo_frames=2, certain=0.6).item(index)
        added = sorted(set(item.labelled_frames) - set(LABELLED))
        assert len(added) == 2
        numbers |= set(added)
        assert torch.equal(labels_of(item, LABELLED), made.observation.video.labels)
        for frame, labels in zip(added, labels_of(item, added), strict=True):
            sure = labels != VOID
            certainty = planes_of(made)[:-1, frame].max(0)[0].double() * planes_of(made)[-1, frame] / 255**2
            assert torch.equal(sure, certainty >= 0.6)
            assert 0.3 < sure.float().mean() < 1
            assert (labels == truth[frame])[sure].float().mean() > 0.98
    assert numbers == set(OTHERS)


def test_no_more_pseudo_frames_than_there_are(made: Guidance) -> None:
    item = guidance(made, pseudo_frames=40).item(0)
    assert item.labelled_frames == tuple(range(FRAMES))
    assert len(guidance(made, pseudo_frames=3, certain=1).item(0).labelled_frames) == 6


def test_one_label_leaves_more_to_frames_without() -> None:
    """Flow's confidence does not reach far: the probability has to be sure, and four times as many frames are trained on."""
    one = guidance_of(square().select([0]), replace(PLAIN, pseudo_frames=1))
    item = one.item(0)
    assert len(item.labelled_frames) == 1 + PLAIN.more_of_one
    assert [returned.frames for returned in one.observation.returned] == [len(SHARES_OF_ONE)]
    for frame in set(item.labelled_frames) - {0}:
        (labels,) = labels_of(item, [frame])
        assert torch.equal(labels != VOID, planes_of(one)[:-1, frame].max(0)[0] >= 255 * PLAIN.certain_of_one)
        assert (labels != VOID).float().mean() > 0.5
    assert len(replace(one, config=replace(one.config, more_of_one=2)).item(0).labelled_frames) == 1 + 2


def test_pseudo_labels_are_there_in_blind_steps(made: Guidance) -> None:
    """There the network learns what flow knows from the pictures alone."""
    item = guidance(made, blind=1, pseudo_frames=4).item(0)
    assert not shown_in(item).any()
    assert (labels_of(item, sorted(set(item.labelled_frames) - set(LABELLED))) != VOID).any()


def test_labels_are_carried_along_at_a_finer_size() -> None:
    found = guidance_of(square(2).select(LABELLED)).observation
    assert found.evidence is not None
    assert found.seen is not None
    assert found.evidence.planes().shape == (3, FRAMES, 2 * HEIGHT, 2 * WIDTH)
    assert found.seen.planes().shape == (3, FRAMES, HEIGHT, WIDTH)
    assert [one.planes().shape for one in found.returned] == [(3, len(SHARES), HEIGHT, WIDTH)] * 3
    mean = found.evidence.planes().unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).double().mean((3, 5))
    assert (found.seen.planes() - mean).abs().max() <= 0.5
    assert found.inputs.shape == (6, FRAMES, HEIGHT, WIDTH)
    assert torch.equal(found.inputs[:3], found.video.volume)
    assert torch.equal(found.inputs[3:], found.seen.planes())


def test_shares_are_those_of_the_settings() -> None:
    config = GuidanceConfig(shares=[0.5], shares_of_one=(0.1, 0.2))
    assert shares_of(config, (0, 4)) == (0.5,)
    assert shares_of(config, (0,)) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"returned": 1.1}, r"guidance\.returned is 1\.1: give a number from 0 to 1"),
        ({"blind": -0.1}, r"guidance\.blind is -0\.1: give a number from 0 to 1"),
        ({"certain": 255}, r"guidance\.certain is 255: give a number from 0 to 1"),
        ({"certain_of_one": 2}, r"guidance\.certain_of_one is 2: give a number from 0 to 1"),
        ({"pseudo_frames": -1}, r"guidance\.pseudo_frames is -1: give 0 or more"),
        ({"more_of_one": 0}, r"guidance\.more_of_one is 0: give 1 or more"),
        ({"shares": 0.5}, r"guidance\.shares is 0\.5: give a list of numbers above 0, up to 1"),
        ({"shares": ()}, r"guidance\.shares is \(\): give a list"),
        ({"shares_of_one": (0.5, 1.5)}, r"guidance\.shares_of_one is \(0\.5, 1\.5\): give a list"),
    ],
)
def test_nonsense(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GuidanceConfig(**settings)


def test_frames_with_a_few_labels_are_asked_for_and_shown_as_any_other() -> None:
    """They count neither as evidence nor as what comes back."""
    masks = square().select(LABELLED).masks.clone()
    masks[1, 3:] = VOID
    sparse = replace(square().select(LABELLED), masks=masks)
    made = guidance_of(sparse, replace(PLAIN, returned=1.0))
    assert made.observation.fixed == (0, 8)
    assert not made.one
    item = made.item(3)
    assert item.labelled_frames == LABELLED
    assert torch.equal(item.labels[1], sparse.labels[1])
    assert item.evidence is not None
    assert made.observation.seen is not None
    assert item.evidence.planes()[:, 4].equal(made.observation.seen.planes()[:, 4])
    whole = guidance_of(square().select((0, 8)), replace(PLAIN, returned=1.0))
    assert whole.observation.seen is not None
    assert item.evidence.planes()[:, 4].equal(whole.observation.seen.planes()[:, 4])
    assert not item.evidence.planes()[:, 0].equal(made.observation.seen.planes()[:, 0])  # what comes back, in place of labels


@pytest.mark.parametrize("pseudo", [0, 2])
def test_a_step_sees_a_window_of_a_long_video(pseudo: int) -> None:
    guidance = guidance_of(square().select(LABELLED), replace(PLAIN, pseudo_frames=pseudo, returned=0.5, blind=0.3))
    whole, narrow = guidance, replace(guidance, window=5)
    video, starts = guidance.observation.video, set()
    for index in range(24):
        item, full = narrow.item(index), whole.item(index)
        assert item.volume.shape == (3, 5, HEIGHT, WIDTH)
        start = next(first for first in range(5) if torch.equal(item.volume, video.volume[:, first : first + 5]))
        starts.add(start)
        assert torch.equal(item.evidence.planes(), full.evidence.planes(slice(start, start + 5)))
        inside = [frame for frame in LABELLED if start <= frame < start + 5]
        assert len(item.labelled_frames) == len(inside) + pseudo
        for frame, labels in zip(item.labelled_frames, item.labels, strict=True):
            if start + frame in LABELLED:
                assert torch.equal(labels, video.labels[LABELLED.index(start + frame)])
            else:
                assert torch.equal(labels, narrow._pseudo_labels(start + frame))
    assert len(starts) > 2
