"""Labels follow what moves, and say how far they can be trusted."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence import flow as flow_module
from revseg.evidence import likelihood
from revseg.evidence.carry import propagate
from revseg.evidence.flow import REACH, Flow
from revseg.labels.sample import VOID, Sample

FRAMES, HEIGHT, WIDTH, SIDE = 9, 64, 96, 20
SHARES = (0.25, 0.5, 0.75)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flow of small frames, a few milliseconds each."""
    monkeypatch.setattr(flow_module, "LEAST_HEIGHT", 2 * HEIGHT)


def texture(seed: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def moving(labelled: Sequence[int], step: int = 2, objects: int = 1, frames: int = FRAMES) -> tuple[Sample, torch.Tensor]:
    """Textured squares that run to the right over a textured ground, `step` pixels a frame; and the labels of all frames."""
    volume = np.repeat(texture(0, HEIGHT, WIDTH)[None], frames, axis=0)
    truth = np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    for number in range(1, objects + 1):
        for frame in range(frames):
            at = slice(28 * number - 20, 28 * number - 20 + SIDE), slice(10 + step * frame, 10 + step * frame + SIDE)
            volume[frame][at] = texture(number, SIDE, SIDE)
            truth[frame][at] = number
    return sample(volume, truth, labelled), torch.from_numpy(truth)


def sample(volume: np.ndarray, truth: np.ndarray, labelled: Sequence[int]) -> Sample:
    """volume: (T, H, W, 3)."""
    labels = torch.from_numpy(truth[list(labelled)].copy())
    pixels = torch.from_numpy(volume).permute(3, 0, 1, 2).contiguous()
    return Sample("made", pixels, labels, tuple(labelled), volume.shape[1:3], Fraction(24), Path("made"))


def classes(evidence: torch.Tensor) -> torch.Tensor:
    """(classes + 1, ...) -> the likeliest."""
    return evidence[:-1].max(0)[1]


def iou(found: torch.Tensor, true: torch.Tensor) -> float:
    return ((found & true).sum() / (found | true).sum()).item()


@pytest.mark.parametrize("labelled", [(0, 8), (0, 4, 8), (4, 8)])
@pytest.mark.parametrize("objects", [1, 2])
def test_labels_follow_what_moves(labelled: tuple[int, ...], objects: int) -> None:
    """Between the labelled frames; every object keeps its class."""
    video, truth = moving(labelled, objects=objects)
    evidence = propagate(video, objects + 1).evidence
    assert evidence.shape == (objects + 2, FRAMES, HEIGHT, WIDTH)
    assert evidence.dtype == torch.uint8
    found = classes(evidence)
    for frame in range(labelled[0], FRAMES):
        for number in range(1, objects + 1):
            assert iou(found[frame] == number, truth[frame] == number) > 0.9, (frame, number)


def test_probabilities_sum_to_one_where_something_is_known() -> None:
    evidence = propagate(*moving((0, 8), objects=2)[:1], 3).evidence.long()
    total, known = evidence[:-1].sum(0), evidence[-1] > 0
    assert known.all()
    assert (total - 255).abs().max() <= 2
    assert evidence[-1].min() >= 1
    assert ((evidence[:-1] > 20) & (evidence[:-1] < 235)).any()  # two sources that do not agree


def test_labelled_frames_have_their_own_labels() -> None:
    video, truth = moving((0, 5), objects=2)
    evidence = propagate(video, 3).evidence
    for frame in (0, 5):
        assert torch.equal(evidence[:-1, frame], 255 * (truth[frame] == torch.arange(3)[:, None, None]).to(torch.uint8))
        assert (evidence[-1, frame] == 255).all()


def test_nothing_is_known_of_void() -> None:
    video, truth = moving((0, 8), step=1)
    video.labels[0, :30] = VOID
    known = propagate(video, 2, SHARES)
    assert not known.evidence[:, 0, :30].any()
    assert (known.evidence[-1, 0, 30:] == 255).all()
    assert not known.returned[0, :, :, :30].any()  # though much would come back
    assert known.returned[0, :, -1, 30:].all()
    assert known.returned[1, :, -1].all()
    assert (classes(known.evidence)[1] == 1)[truth[1] == 1].float().mean() > 0.8  # from the other labelled frame
    video.labels.fill_(VOID)
    known = propagate(video, 2, SHARES)
    assert not known.evidence.any()
    assert not known.returned.any()


def test_confidence_falls_with_distance_and_where_ground_is_uncovered() -> None:
    video, truth = moving((0,))
    confidence = propagate(video, 2).evidence[-1].float()
    on_object = [confidence[frame][truth[frame] == 1].mean() for frame in range(FRAMES)]
    assert all(one > other for one, other in zip(on_object[:-1], on_object[2:], strict=False))
    uncovered = (truth[0] == 1) & (truth[6] == 0)
    still = (truth[0] == 0) & (truth[6] == 0)
    assert confidence[6][uncovered].mean() < 0.5 * confidence[6][still].mean()


def test_confidence_falls_everywhere_where_the_objects_are_lost() -> None:
    """A square that is gone after four frames: the ground agrees as before, but its labels do not say where the square is."""
    video, _ = moving((0,))
    video.volume[:, 4:] = torch.from_numpy(texture(0, HEIGHT, WIDTH)).permute(2, 0, 1)[:, None]
    confidence = propagate(video, 2).evidence[-1, :, 50:].float().mean((1, 2))  # far below the square
    assert confidence[4:].max() < 0.5 * confidence[:4].min()


def test_one_labelled_frame_reaches_both_ends() -> None:
    for labelled, last in (((0,), 8), ((8,), 0), ((4,), 8)):
        video, truth = moving(labelled, step=1)
        evidence = propagate(video, 2).evidence
        found, confidence = classes(evidence), evidence[-1]
        assert confidence.min() >= 1
        assert ((found == 1) & (truth == 1))[last].sum() > 0.8 * (truth == 1)[last].sum()
        sure = confidence[last] >= confidence[last].median()
        assert (found[last] == truth[last])[sure].float().mean() > 0.98


def cut(labelled: Sequence[int]) -> tuple[Sample, torch.Tensor]:
    """From frame 4 on another square on another ground."""
    (first, truth), (second, _) = moving(labelled), moving(labelled)
    other = torch.from_numpy(texture(7, HEIGHT, WIDTH)).permute(2, 0, 1)
    volume = second.volume.flip(2)
    truth = truth.clone()
    truth[4:] = truth[4:].flip(1)
    volume[:, 4:] = torch.where(truth[4:] == 1, volume[:, 4:], other[:, None])
    volume[:, :4] = first.volume[:, :4]
    return replace(first, volume=volume, labels=truth[list(labelled)]), truth


def test_labels_are_not_trusted_beyond_a_cut() -> None:
    video, _ = cut((0,))
    confidence = propagate(video, 2).evidence[-1].float().mean((1, 2))
    assert confidence[:4].min() > 150
    assert confidence[4:].max() < 60


def test_each_side_of_a_cut_has_its_own_labels() -> None:
    video, truth = cut((0, 8))
    found = classes(propagate(video, 2).evidence)
    for frame in range(FRAMES):
        assert iou(found[frame] == 1, truth[frame] == 1) > 0.65, frame
    assert iou(found[3] == 1, truth[4] == 1) < 0.2


def test_what_comes_back() -> None:
    """Of each labelled frame, as often as there are shares: not the truth, but near it, and worse from farther off."""
    video, truth = moving((0, 4, 8), step=1)
    known = propagate(video, 2, SHARES)
    assert known.returned.shape == (3, 3, 3, HEIGHT, WIDTH)
    assert known.returned.dtype == torch.uint8
    for row, frame in enumerate(video.labelled_frames):
        found = [classes(returned) == 1 for returned in known.returned[row]]
        values = [iou(mask, truth[frame] == 1) for mask in found]
        assert min(values) > 0.8
        for returned in known.returned[row]:
            assert not torch.equal(returned, known.evidence[:, frame])
            assert returned[-1].float().mean() < 254
            assert (returned[:-1].long().sum(0) - 255).abs().max() <= 2
        confidence = known.returned[row, :, -1].float().mean((1, 2)).tolist()
        assert confidence[0] > max(confidence[1:])
        if row != 1:
            assert values[0] > values[2]


def test_confidence_is_that_of_going_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to see, and a flow that leads four pixels to the right on its way back in time: eight of the enlarged frames."""
    video = sample(np.full((2, HEIGHT, WIDTH, 3), 90, np.uint8), np.zeros((2, HEIGHT, WIDTH), np.uint8), (0,))

    def position(self: Flow, frame: int, other: int) -> np.ndarray:
        return self.identity + np.float32([4 if frame > other else 0, 0])

    monkeypatch.setattr(Flow, "position", position)
    known, once = propagate(video, 2, (0.5,)), 255 * np.exp(-4 * 2 / REACH)
    inside = slice(8, -8)
    assert known.evidence[-1, 1, :, inside].numpy() == pytest.approx(once, abs=1)
    assert known.returned[0, 0, -1, :, inside].numpy() == pytest.approx(once**2 / 255, abs=1)  # carried twice


def test_no_shares_nothing_comes_back() -> None:
    assert propagate(moving((0, 8))[0], 2).returned.shape == (2, 0, 3, HEIGHT, WIDTH)


def test_what_comes_back_comes_from_frames_between_labelled_ones() -> None:
    """Beyond the outer ones nothing shows how far labels are usually carried; with one labelled frame there is nothing else."""
    video, _ = moving((3, 4))
    known = propagate(video, 2, SHARES)
    for row, frame in enumerate((3, 4)):
        assert all(torch.equal(returned, known.evidence[:, frame]) for returned in known.returned[row])
    video, _ = moving((4,))
    known = propagate(video, 2, SHARES)
    assert not any(torch.equal(returned, known.evidence[:, 4]) for returned in known.returned[0])


def test_a_frame_too_near_gives_nothing_back() -> None:
    """A quarter of the way from 0 to 2 is no frame."""
    known = propagate(moving((0, 2), frames=3)[0], 2, (0.25, 0.5))
    assert torch.equal(known.returned[0, 0], known.evidence[:, 0])
    assert not torch.equal(known.returned[0, 1], known.evidence[:, 0])


def test_a_single_frame() -> None:
    video, truth = moving((0,), frames=1)
    known = propagate(video, 2, SHARES)
    assert torch.equal(classes(known.evidence), truth)
    assert (known.evidence[-1] == 255).all()
    assert known.returned.shape == (1, 3, 3, HEIGHT, WIDTH)
    assert all(torch.equal(returned, known.evidence[:, 0]) for returned in known.returned[0])


def test_the_same_again_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    video, _ = moving((0, 4, 8))
    known = propagate(video, 2, SHARES)
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        again = propagate(video, 2, SHARES)
        assert torch.equal(again.evidence, known.evidence)
        assert torch.equal(again.returned, known.returned)


def test_how_things_move_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """One label, and a square as fast as flow follows: its motion says where it is, and what of it comes back."""
    video, truth = moving((0,), step=5)
    object_ = truth[-1] == 1
    heard = propagate(video, 2, (0.5,))
    monkeypatch.setattr(likelihood, "FLOOR", 1e6)  # every motion is as likely in every class
    deaf = propagate(video, 2, (0.5,))
    assert heard.evidence[1, -1][object_].float().mean() > deaf.evidence[1, -1][object_].float().mean() + 5
    assert heard.evidence[1, -1][~object_].float().mean() < deaf.evidence[1, -1][~object_].float().mean() / 2
    assert heard.returned[0, 0, 1][truth[0] == 1].float().mean() > deaf.returned[0, 0, 1][truth[0] == 1].float().mean() + 10
