"""Looks find again what flow has lost, and are the same for the same frames."""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.evidence.config import LooksConfig
from revseg.evidence.descriptors import NUMBERS, descriptors, picture_at
from revseg.evidence.ensemble import Ensemble
from revseg.evidence.looks import (
    Drawn,
    Examples,
    Looks,
    asks_looks,
    choose,
    evenly,
    objectness,
    sure_objects,
    surely,
    together,
    weigh,
)
from revseg.evidence.recognised import Recognised
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.reversible.kernels import switch
from tests.evidence.made import EVIDENCE, HEIGHT, SIDE, WIDTH, carried, moving, same, sample, texture

LOOKS = LooksConfig(steps=60)
SEEING, BLIND = (replace(EVIDENCE, looks=replace(LOOKS, power=power)) for power in (0.5, 0.0))
COVERED, BACK = range(4, 7), range(7, 10)


def coming_back(objects: int = 1, frames: int = BACK.stop) -> tuple[Sample, torch.Tensor]:
    """Reddish and greenish squares on bluish ground; covered for a while, they come back elsewhere, and turned."""
    ground = texture(0, HEIGHT, WIDTH) // 2 + np.array([0, 0, 127], np.uint8)
    volume, truth = np.repeat(ground[None], frames, 0), np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    for number in range(1, objects + 1):
        tint = np.roll(np.array([127, 0, 0], np.uint8), number - 1)
        square = texture(number, SIDE, SIDE) // 2 + tint
        for frame in sorted({*range(frames)} - {*COVERED}):
            top, left = (
                (28 * number - 22, 8 + 2 * frame) if frame < COVERED.start else (28 * number - 22, 60 + 2 * (frame - BACK.start))
            )
            at = slice(top, top + SIDE), slice(left, left + SIDE)
            volume[frame][at] = square if frame < COVERED.start else np.rot90(square, 2)
            truth[frame][at] = number
    return sample(volume, truth, (0,)), torch.from_numpy(truth)


def likeness(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.slow
def test_what_comes_back_elsewhere_is_found_again() -> None:
    """Each object by itself: flow has lost both, and motion does not say which is which."""
    video, truth = coming_back(objects=2)
    seeing, blind = (carried(video, 3, config=config).evidence.probabilities.max(0).indices for config in (SEEING, BLIND))
    for number in (1, 2):
        assert min(likeness(seeing[t] == number, truth[t] == number) for t in BACK) > 0.8
        assert max(likeness(blind[t] == number, truth[t] == number) for t in BACK) < 0.6
    assert all((seeing[t] > 0).float().mean() < 0.01 for t in COVERED)


@pytest.mark.slow
def test_the_same_with_a_cache_and_again(tmp_path: Path) -> None:
    """Whatever is drawn elsewhere; and what a training draws stays as it was."""
    (video, _), shares = moving((0, 5), frames=6), (0.5,)
    torch.manual_seed(1)
    expected = carried(video, 2, shares, SEEING)
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn)
    for _ in range(2):
        assert same(carried(video, 2, shares, SEEING, folder=tmp_path), expected)
    before = set(tmp_path.iterdir())
    other = replace(SEEING, looks=replace(SEEING.looks, power=0.25))
    assert same(carried(video, 2, shares, other, folder=tmp_path), carried(video, 2, shares, other))
    assert {path.name.split("-")[0] for path in set(tmp_path.iterdir()) - before} == {"returned", "evidence"}
    assert not same(carried(video, 2, shares, other, folder=tmp_path), expected)


@pytest.mark.slow
def test_what_comes_back_to_a_label_has_not_seen_it() -> None:
    """An object that no other frame shows: who has seen its label would know it by heart."""
    video, truth = coming_back()
    volume = video.volume.clone()
    volume[:, 1:] = volume[:, COVERED.start, None]
    video, known = replace(video, volume=volume), truth[0] == 1
    seeing, blind = (carried(video, 2, (0.5,), config).returned[0].probabilities[1, 0] / 255 for config in (SEEING, BLIND))
    assert seeing[known].mean() < blind[known].mean()


def test_only_what_is_sure_is_learned_from() -> None:
    """Of objects half, each as often as the other; where nothing is known, nothing is drawn."""
    probabilities = torch.zeros(3, 40, 60)
    for number, columns in enumerate((slice(0, 30), slice(30, 40), slice(40, 42))):
        probabilities[number, :, columns] = 1
    probabilities[:, :20] = probabilities[:, :20] * 0.4 + 0.2  # at most 0.6
    probabilities[:, :, 42:] = 0
    seen = torch.zeros(40, 60, NUMBERS)
    seen[..., 0] = torch.arange(40)[:, None]
    examples = Examples()
    examples.draw(choose((40, 60), (255 * probabilities).to(torch.uint8), 400, sure=LOOKS.sure), seen)
    values, classes = together([examples])
    assert classes.bincount().tolist() == [200, 100, 100]
    assert values[:, 0].min() >= 20


def test_a_classifier_tells_apart_what_it_has_seen() -> None:
    """What nothing is known of stays unknown, and what is certain stays; the more power, the more it counts."""
    classes = torch.arange(600) % 3
    values = torch.randn(600, NUMBERS, generator=torch.Generator().manual_seed(0)) + 3 * classes[:, None]
    looks = Looks(values, classes, 3, config=LOOKS, device=torch.device("cpu"))
    seen = (3 * torch.arange(3.0))[None, :, None].expand(2, 3, NUMBERS)
    evidence = torch.full((4, 5, 6), 1 / 3)
    evidence[:-1, 0], evidence[-1], evidence[-1, 4] = 0, 0, 1
    odds = looks.odds(seen)
    assert odds is not None
    weighed, weaker = (weigh(evidence, odds, power, fades=4) for power in (0.5, 0.1))
    assert torch.equal(weighed[:, 1:4].max(0).indices, torch.tensor([0, 0, 1, 1, 2, 2]).expand(3, 6))
    assert (weighed[:, 0] == 0).all()
    assert (weighed[:, 4] - 1 / 3).abs().max() < 1e-5
    assert (weighed[:, 1:].sum(0) - 1).abs().max() < 1e-5
    assert (weaker[:, 1:4].max(0).values < weighed[:, 1:4].max(0).values).all()


def test_nothing_but_ground_has_no_looks() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    assert not asks_looks(LOOKS, labels)
    labels[0, 0, 0] = VOID
    assert not asks_looks(LOOKS, labels)
    labels[0, 1, 1] = 2
    assert asks_looks(LOOKS, labels)
    assert not asks_looks(replace(LOOKS, power=0.0), labels)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (12, 300), (48, 64)])
def test_any_frame_has_descriptors(channels: int, size: tuple[int, int]) -> None:
    frame = torch.randint(256, (channels, *size), dtype=torch.uint8)
    found = descriptors(picture_at(frame, 24))
    assert found.shape == (min(size[0], 24), size[1] if size[0] <= 24 else round(size[1] * 24 / size[0]), NUMBERS)
    assert found.isfinite().all()


def test_some_of_many_frames() -> None:
    assert evenly(range(5), 8) == [0, 1, 2, 3, 4]
    assert evenly(range(1, 17), 8) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert evenly([3, 5, 9], 1) == [9]
    assert evenly([3], 0) == []


def test_without_examples_nothing_is_said() -> None:
    config = LooksConfig()
    nothing = Examples()
    nothing.draw(choose((8, 8), torch.full((2, 8, 8), 127, dtype=torch.uint8), 100, sure=0.6), torch.rand(8, 8, NUMBERS))
    looks = Looks(*together([nothing]), 2, config=config, device=torch.device("cpu"))
    assert looks.odds(torch.rand(8, 8, NUMBERS)) is None


def test_the_surer_of_any_object_the_more_it_is_found() -> None:
    """Which object it is does not matter; what is likelier ground is not found."""
    q = torch.tensor([[0.9, 0.5, 0.4, 0.0], [0.1, 0.5, 0.3, 0.5], [0.0, 0.0, 0.3, 0.5]])[:, None]
    assert objectness(q.log()).flatten().tolist() == pytest.approx([0, 0, 0.2, 1])


def test_what_is_known_both_are_sure_of() -> None:
    """By e^3 beside any other class, and of the same."""
    one = torch.tensor([[0.0, -4, -4, -2, -9], [-4.0, 0, 0, 0, 0], [-9.0, -9, -2, -9, -9]])
    other = one.clone()
    other[:, 4] = torch.tensor([0.0, -9, -9])
    assert sure_objects(one).tolist() == [False, True, False, False, True]
    assert surely(one).tolist() == [0, 2, 0]
    assert surely(one, other).tolist() == [0, 1, 0]
    assert surely(one[:, :0], other[:, :0]).tolist() == [0, 0, 0]


def test_what_is_recognised_can_be_trusted() -> None:
    """In the object half of it, and a linear slope in between; in frames that nothing is said of nothing."""
    recognised = Recognised(3, 2, (1, 2))
    recognised.put(1, torch.tensor([[[0.0, -9.0]], [[-9.0, 0.0]]]), known=torch.tensor([0.5, 0.4]), trust=0.5)
    recognised.put(2, None, known=torch.zeros(2), trust=0.5)
    assert recognised.trusted(1, torch.zeros(2, 4)).tolist() == 2 * [[0, 32, 95, 127]]
    assert not recognised.trusted(0, torch.zeros(2, 4)).any()
    assert not recognised.trusted(2, torch.zeros(2, 4)).any()
    assert recognised.known[1].tolist() == pytest.approx([0.5, 0.4])


@pytest.mark.slow
def test_what_looks_are_sure_of_is_not_worn_away() -> None:
    """After the return nothing is carried along that could be trusted; the confidence that is told stays that of the way."""
    video, truth = coming_back(objects=2)
    known, unknown = (
        carried(video, 3, config=replace(SEEING, looks=replace(SEEING.looks, trust=trust))).evidence for trust in (0.3, 0.0)
    )
    assert known.confidence.equal(unknown.confidence)
    of_truth = [one.probabilities.gather(0, truth[None].long())[0, BACK.start :].float() for one in (known, unknown)]
    objects = truth[BACK.start :] > 0
    assert of_truth[0][objects].mean() > of_truth[1][objects].mean()


def learned(threads: int, pool: Executor) -> torch.Tensor:
    """What an ensemble says that has learned in a pool, while PyTorch has so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        classes = torch.arange(40000) % 2
        seen = torch.randn(40000, NUMBERS + 2, generator=torch.Generator().manual_seed(0)) + classes[:, None]
        examples = Examples()
        examples.parts.append((seen, classes))
        ensemble = Ensemble(examples, classes=2, config=replace(LOOKS, steps=5), device=torch.device("cpu"), pool=pool)
        assert [member.numbers for member in ensemble.members] == [NUMBERS, NUMBERS + 2]
        said = ensemble.odds(seen[:500])
        assert said is not None
        return said
    finally:
        torch.set_num_threads(before)


def test_the_same_is_learned_in_any_number_of_threads() -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as several:
        expected = learned(1, one)
        assert all(torch.equal(learned(threads, pool), expected) for threads in (1, 2, 4) for pool in (one, several))


def test_members_count_alike_compiled_or_not() -> None:
    """What one says that sees less, and another; the numbers are those of PyTorch's operators."""
    with ThreadPoolExecutor(1) as pool:
        found = learned(1, pool)
        switch.enable(False)
        try:
            expected = learned(1, pool)
        finally:
            switch.enable(True)
    assert (found - expected).abs().max() < 1e-3
    assert found.min() < -1


def test_what_was_drawn_is_found_among_its_pixels() -> None:
    drawn = Drawn((2, 3), torch.tensor([4, 0, 4, 5]), torch.zeros(4))
    pixels, rows = drawn.rows()
    assert pixels.tolist() == [[True, False, False], [False, True, True]]
    assert rows.tolist() == [1, 0, 1, 2]
