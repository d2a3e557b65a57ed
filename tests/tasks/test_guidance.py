"""What a guided network is shown in a step, and asked for."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence import flow
from revseg.evidence.evidence import resize_evidence
from revseg.evidence.flow import Flow
from revseg.labels.sample import VOID, Sample
from revseg.tasks.guidance import CERTAIN_OF_ONE, MORE_OF_ONE, SHARES, Guidance, GuidanceConfig
from revseg.tasks.one_video import FewFrames

FRAMES, HEIGHT, WIDTH = 9, 32, 48
LABELLED, OTHERS = (0, 4, 8), (1, 2, 3, 5, 6, 7)
PLAIN = GuidanceConfig(returned=0, blind=0, pseudo_frames=0)


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


@pytest.fixture(scope="module")
def made() -> Guidance:
    """Labels that were carried along once, for all tests; flow of small frames is fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "LEAST_HEIGHT", 4 * HEIGHT)
        known = square().select(LABELLED)
        return Guidance(known, known, Flow(known.volume), 2, PLAIN, seed=0)


def guidance(made: Guidance, seed: int = 0, **settings: float) -> Guidance:
    """The same with other settings."""
    other = object.__new__(Guidance)
    vars(other).update(vars(made) | {"config": replace(PLAIN, **settings), "seed": seed})
    return other


def shown(made: Guidance, index: int, frame: int) -> str | int:
    """What the evidence of a labelled frame is in a step: its labels, nothing, or the number of a share."""
    evidence = made.sample(index).evidence[:, frame]
    if torch.equal(evidence, made.evidence[:, frame]):
        return "labels"
    if not evidence.any():
        return "nothing"
    returned = made.returned[LABELLED.index(frame)]
    (number,) = [share for share in range(len(returned)) if torch.equal(evidence, returned[share])]
    return number


def equal(one: Sample, other: Sample) -> bool:
    tensors = zip((one.volume, one.labels, one.evidence), (other.volume, other.labels, other.evidence), strict=True)
    return one.labelled_frames == other.labelled_frames and all(torch.equal(*pair) for pair in tensors)


def test_a_sample_depends_on_seed_and_number_alone(made: Guidance) -> None:
    settings = {"returned": 0.5, "blind": 0.2, "pseudo_frames": 2}
    one, two, other = (guidance(made, seed, **settings) for seed in (3, 3, 4))
    forwards = [one.sample(index) for index in range(8)]
    backwards = [two.sample(index) for index in reversed(range(8))][::-1]
    assert all(map(equal, forwards, backwards))
    assert not all(equal(forwards[0], sample) for sample in forwards)
    assert not all(equal(forwards[index], other.sample(index)) for index in range(8))


def test_labels_are_shown_as_they_are(made: Guidance) -> None:
    sample = guidance(made).sample(0)
    assert torch.equal(sample.evidence, made.evidence)
    assert equal(replace(sample, evidence=made.evidence), replace(made.labelled, evidence=made.evidence))
    assert {shown(guidance(made), index, frame) for index in range(9) for frame in LABELLED} == {"labels"}


def test_what_comes_back_is_shown(made: Guidance) -> None:
    """Of all labelled frames, each time another share of the way; what is asked for is the truth."""
    always = guidance(made, returned=1)
    for frame in LABELLED:
        assert {shown(always, index, frame) for index in range(30)} == set(range(len(SHARES)))
    for index in range(5):
        assert torch.equal(always.sample(index).labels, made.labelled.labels)
        for frame in OTHERS:
            assert torch.equal(always.sample(index).evidence[:, frame], made.evidence[:, frame])
    found = [shown(guidance(made, returned=0.3), index, frame) for index in range(100) for frame in LABELLED]
    assert 0.2 < np.mean([what != "labels" for what in found]) < 0.4


def test_blind_steps_show_nothing(made: Guidance) -> None:
    blind = guidance(made, blind=1, returned=1)
    assert not any(blind.sample(index).evidence.any() for index in range(9))
    assert torch.equal(blind.sample(0).labels, made.labelled.labels)
    some = [shown(guidance(made, blind=0.3), index, 0) == "nothing" for index in range(200)]
    assert 0.2 < np.mean(some) < 0.4


def test_samples_leave_what_is_known_as_it_was(made: Guidance) -> None:
    evidence, returned, labels = made.evidence.clone(), torch.stack(made.returned), made.labelled.labels.clone()
    for index in range(5):
        guidance(made, returned=1, blind=0.5, pseudo_frames=3).sample(index).evidence.zero_()
    assert torch.equal(made.evidence, evidence)
    assert torch.equal(torch.stack(made.returned), returned)
    assert torch.equal(made.labelled.labels, labels)


def test_frames_that_flow_is_sure_of_are_trained_on(made: Guidance) -> None:
    """Void where it is not; the labels that were given stay as they are."""
    truth = square().labels
    numbers = set()
    for index in range(20):
        sample = guidance(made, pseudo_frames=2, certain=0.6).sample(index)
        added = sorted(set(sample.labelled_frames) - set(LABELLED))
        assert len(added) == 2
        numbers |= set(added)
        assert torch.equal(sample.select(LABELLED).labels, made.labelled.labels)
        for frame, labels in zip(added, sample.select(added).labels, strict=True):
            sure = labels != VOID
            certainty = made.evidence[:-1, frame].max(0)[0].double() * made.evidence[-1, frame] / 255**2
            assert torch.equal(sure, certainty >= 0.6)
            assert 0.3 < sure.float().mean() < 1
            assert (labels == truth[frame])[sure].float().mean() > 0.98
    assert numbers == set(OTHERS)


def test_no_more_pseudo_frames_than_there_are(made: Guidance) -> None:
    sample = guidance(made, pseudo_frames=40).sample(0)
    assert sample.labelled_frames == tuple(range(FRAMES))
    assert len(guidance(made, pseudo_frames=3, certain=1).sample(0).labelled_frames) == 6


def test_one_label_leaves_more_to_frames_without() -> None:
    """Flow's confidence does not reach far: the probability has to be sure, and four times as many frames are trained on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "LEAST_HEIGHT", 4 * HEIGHT)
        known = square().select([0])
        one = Guidance(known, known, Flow(known.volume), 2, replace(PLAIN, pseudo_frames=1), seed=0)
    sample = one.sample(0)
    assert len(sample.labelled_frames) == 1 + MORE_OF_ONE
    for frame in set(sample.labelled_frames) - {0}:
        (labels,) = sample.select([frame]).labels
        assert torch.equal(labels != VOID, one.evidence[:-1, frame].max(0)[0] >= 255 * CERTAIN_OF_ONE)
        assert (labels != VOID).float().mean() > 0.5


def test_pseudo_labels_are_there_in_blind_steps(made: Guidance) -> None:
    """There the network learns what flow knows from the pictures alone."""
    sample = guidance(made, blind=1, pseudo_frames=4).sample(0)
    assert not sample.evidence.any()
    assert (sample.select(set(sample.labelled_frames) - set(LABELLED)).labels != VOID).any()


def test_labels_are_carried_along_at_a_finer_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "LEAST_HEIGHT", 4 * HEIGHT)
    labelled, fine = square().select(LABELLED), square(2).select(LABELLED)
    found = Guidance(labelled, fine, Flow(fine.volume), 2, PLAIN, seed=0)
    assert found.fine.shape == (3, FRAMES, 2 * HEIGHT, 2 * WIDTH)
    assert found.evidence.shape == (3, FRAMES, HEIGHT, WIDTH)
    assert torch.stack(found.returned).shape == (3, len(SHARES), 3, HEIGHT, WIDTH)
    mean = found.fine.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).double().mean((3, 5))
    assert (found.evidence - mean).abs().max() <= 0.5
    assert found.volume.shape == (6, FRAMES, HEIGHT, WIDTH)
    assert torch.equal(found.volume[:3], labelled.volume)
    assert torch.equal(found.volume[3:], found.evidence)


def test_evidence_is_resized_to_means() -> None:
    evidence = torch.randint(0, 256, (2, 3, 6, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert resize_evidence(evidence, (6, 9)) is evidence
    smaller = resize_evidence(evidence, (2, 3))
    assert smaller.dtype == torch.uint8
    expected = evidence.double().unflatten(2, (2, 3)).unflatten(4, (3, 3)).mean((3, 5))
    assert (smaller.double() - expected).abs().max() <= 0.5
    larger = resize_evidence(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8), (4, 5))
    assert torch.equal(larger, torch.full((1, 3, 4, 5), 255, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"returned": 1.1}, r"guidance\.returned is 1\.1: give a number from 0 to 1"),
        ({"blind": -0.1}, r"guidance\.blind is -0\.1: give a number from 0 to 1"),
        ({"certain": 255}, r"guidance\.certain is 255: give a number from 0 to 1"),
        ({"pseudo_frames": -1}, r"guidance\.pseudo_frames is -1: give 0 or more"),
    ],
)
def test_nonsense(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GuidanceConfig(**settings)


def test_few_frames_give_the_network_all_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that are held back are part of neither what is shown nor what is asked for."""
    monkeypatch.setattr(flow, "LEAST_HEIGHT", 4 * HEIGHT)
    known = square()
    few = FewFrames(known, 3, classes=3, guidance=GuidanceConfig(pseudo_frames=2), seed=5)
    assert few.volume.shape == (3 + 3 + 1, FRAMES, HEIGHT, WIDTH)
    assert few.sample(0).evidence.shape == (4, FRAMES, HEIGHT, WIDTH)
    assert few.largest() == ((FRAMES, HEIGHT, WIDTH), 3 + 2)
    known.labels[list(OTHERS)] = 2
    assert torch.equal(FewFrames(known, 3, classes=3, guidance=GuidanceConfig(), seed=5).volume, few.volume)
    plain = FewFrames(known, 3, classes=3)
    assert plain.volume.shape == (3, FRAMES, HEIGHT, WIDTH)
    assert plain.sample(0).evidence is None
    assert plain.largest() == ((FRAMES, HEIGHT, WIDTH), 3)
