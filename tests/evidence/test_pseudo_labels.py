"""Frames of which the evidence is sure are carried along once more, like labelled ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.evidence.config import PseudoLabelsConfig
from revseg.evidence.pseudo_labels import PseudoLabels, asks_pseudo_labels, surest
from revseg.evidence.sources import Labels
from revseg.labels.palette import VOID
from tests.evidence.made import EVIDENCE, HEIGHT, WIDTH, carried, flow_of, moving, same
from tests.evidence.test_looks import BACK, SEEING, coming_back, likeness

FRAMES = PseudoLabelsConfig(frames=4)
WITH = replace(EVIDENCE, pseudo_labels=FRAMES)


@pytest.mark.slow
def test_what_looks_have_found_again_is_carried_along() -> None:
    """After the return flow from the label knows nothing, and looks are worn away as they are smoothed; from a frame in which
    they are sure flow leads on."""
    after = range(BACK.start, BACK.start + 8)
    video, truth = coming_back(objects=2, frames=after.stop)
    how = PseudoLabelsConfig(), FRAMES
    alone, again = (carried(video, 3, config=replace(SEEING, pseudo_labels=one)).evidence for one in how)

    def errors(evidence: torch.Tensor, number: int) -> float:
        found = evidence.max(0).indices == number
        return float(np.mean([1 - likeness(found[t], truth[t] == number) for t in after]))

    for number in (1, 2):
        assert errors(again.probabilities, number) < 0.7 * errors(alone.probabilities, number)
    objects = truth[after.start :] > 0
    assert again.confidence[after.start :][objects].float().mean() > 8 * alone.confidence[after.start :][objects].float().mean()
    assert again.confidence[1:].max() < 255  # and is still no label


@pytest.mark.slow
def test_the_same_with_a_cache_and_again(tmp_path: Path) -> None:
    video, _ = moving((0,), objects=2)
    expected = carried(video, 3, (0.5,), WITH)
    assert not same(expected, carried(video, 3, (0.5,)))
    assert same(expected, carried(video, 3, (0.5,), WITH, tmp_path))
    assert same(expected, carried(video, 3, (0.5,), WITH, tmp_path))


@pytest.mark.slow
def test_two_labelled_frames_need_none() -> None:
    video, _ = moving((0, 8))
    assert same(carried(video, config=WITH), carried(video))


def test_asked_where_one_frame_shows_an_object() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    assert not asks_pseudo_labels(FRAMES, labels)
    labels[0, 0] = VOID
    assert not asks_pseudo_labels(FRAMES, labels)
    labels[0, 1] = 2
    assert asks_pseudo_labels(FRAMES, labels)
    assert not asks_pseudo_labels(EVIDENCE.pseudo_labels, labels)
    assert not asks_pseudo_labels(FRAMES, labels.expand(2, -1, -1))


def planes(sure: float, shown: bool = True) -> np.ndarray:
    """Of a frame, (2, 2, 4): an object in the left half, or none."""
    objects = np.full((2, 4), 1 - sure, np.float32)
    objects[:, :2] = sure if shown else 1 - sure
    return np.stack([1 - objects, objects])


def test_the_surest_of_each_stretch_that_shows_an_object() -> None:
    fields = flow_of(moving((0,))[0].volume).fields
    of_frames = [planes(sure) for sure in (0.99, 0.6, 0.9, 0.7, 0.8, 0.7)] + [planes(0.95, shown=False)] * 2
    found = surest(iter(of_frames), [1, 2, 3, 4, 5, 6, 7], 3, fields=fields)
    assert {*found} == {2, 4}  # of 1 to 3, of 4 and 5; 6 and 7 show none, and 0 is labelled
    assert all(np.array_equal(found[frame], of_frames[frame]) for frame in found)
    assert {*surest(iter(of_frames), [1, 2], 9, fields=fields)} == {1, 2}  # fewer frames than stretches


def test_rows_are_those_of_labels_and_of_sure_frames() -> None:
    video, _ = moving((3,))
    labels = Labels(video, 2, flow=flow_of(video.volume))
    sure = {frame: np.full((2, HEIGHT, WIDTH), frame / 10, np.float32) for frame in (7, 1)}
    both = PseudoLabels(labels, sure)
    assert both.frames == (1, 3, 7)
    assert np.array_equal(both.planes(0), sure[1])
    assert np.array_equal(both.planes(1), labels.planes(0))
    assert np.array_equal(both.planes(2), sure[7])
