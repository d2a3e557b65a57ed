"""Neighbouring frames outvote what one of them got wrong."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from revseg.evidence.config import FlowConfig, SmoothingConfig
from revseg.evidence.fields import SUBPIXEL
from revseg.evidence.flow import Flow
from revseg.evidence.smoothing import Given, Smoothing, smoothing_key
from revseg.evidence.store import FlowStore
from tests.evidence.made import flow_of

FRAMES, HEIGHT, WIDTH = 9, 12, 16
CONFIG = SmoothingConfig()
HOPS, PRIOR = CONFIG.hops, CONFIG.prior


class Still(Flow):
    """A flow of known displacement and agreement, so that results can be worked out by hand."""

    def __init__(self, frames: int = FRAMES, step: float = 0, agreement: float = 1.0) -> None:
        super().__init__(torch.zeros(3, frames, HEIGHT, WIDTH, dtype=torch.uint8), FlowConfig(), store=FlowStore())
        self.step, self.known, self.asked = step, agreement, []

    def displacement(self, frame: int, other: int, *, again: bool = True) -> np.ndarray:
        self.asked.append((frame, other))
        moved = np.zeros((2, HEIGHT, WIDTH), np.int16)
        moved[0] = SUBPIXEL * self.step * (other - frame)
        return moved

    def agreement(self, frame: int, other: int, *, to: np.ndarray, fro: np.ndarray) -> np.ndarray:
        return np.full((HEIGHT, WIDTH), self.known, np.float32)


def given(values: list[float], confidence: float = 1.0) -> Iterator[Given]:
    """Frames whose pixels all have the same probability of the object."""
    for value in values:
        planes = np.stack([np.full((HEIGHT, WIDTH), part, np.float32) for part in (1 - value, value)])
        yield Given(planes, confidence)


def smoothed(smoothing: Smoothing, values: list[float], confidence: float = 1.0) -> list[float]:
    """Probability of the object at one pixel of every frame."""
    found = list(smoothing(given(values, confidence)))
    assert all(frame.shape == (2, HEIGHT, WIDTH) for frame in found)
    assert all(frame.sum(0) == pytest.approx(np.ones((HEIGHT, WIDTH)), abs=1e-5) for frame in found)
    return [float(frame[1, 5, 8]) for frame in found]


def by_hand(values: list[float], agreement: float, confidence: float, fixed: set[int], sweeps: int) -> list[float]:
    """The equation, sweep after sweep over the whole video."""
    current = list(values)
    for _ in range(sweeps):
        for t in range(len(values)):
            if t not in fixed:
                near = [t + d for d in (-2, -1, 1, 2) if 0 <= t + d < len(values)]
                total = PRIOR * confidence * values[t] + agreement * sum(current[n] for n in near)
                current[t] = total / (PRIOR * confidence + agreement * len(near))
    return current


@pytest.mark.parametrize("sweeps", [1, 2, 5])
@pytest.mark.parametrize(("agreement", "confidence"), [(1.0, 1.0), (0.3, 0.5), (1.0, 0.0)])
@pytest.mark.parametrize("fixed", [set(), {0}, {0, 8}, {4}])
def test_one_pass_is_sweep_after_sweep(sweeps: int, agreement: float, confidence: float, fixed: set[int]) -> None:
    values = np.random.default_rng(0).random(FRAMES).tolist()
    found = smoothed(Smoothing(Still(agreement=agreement), SmoothingConfig(sweeps=sweeps), fixed=fixed), values, confidence)
    assert found == pytest.approx(by_hand(values, agreement, confidence, fixed, sweeps), abs=1e-5)


def test_an_outlier_is_outvoted_and_agreement_stays() -> None:
    assert smoothed(Smoothing(Still(frames=5), CONFIG), [1.0, 1.0, 0.0, 1.0, 1.0])[2] > 0.5
    assert smoothed(Smoothing(Still(frames=5), CONFIG), [1.0] * 5) == pytest.approx([1.0] * 5)


def test_flow_that_does_not_agree_changes_nothing() -> None:
    values = [1.0, 0.0, 1.0, 0.0]
    assert smoothed(Smoothing(Still(frames=4, agreement=1e-4), CONFIG), values) == pytest.approx(values, abs=1e-3)


def test_fixed_frames_stay_as_they_are_given() -> None:
    assert smoothed(Smoothing(Still(frames=3), CONFIG, fixed={1}), [1.0, 0.25, 1.0])[1] == 0.25


def test_probabilities_move_with_the_pixels() -> None:
    """A column that runs two pixels a frame, unknown in the frame between."""
    planes = np.zeros((3, 2, HEIGHT, WIDTH), np.float32)
    for frame in range(3):
        planes[frame, 1, :, 4 + 2 * frame] = 1
        planes[frame, 0] = 1 - planes[frame, 1]
    planes[1] = 0.5
    frames = [Given(part, 0.0 if number == 1 else 1.0) for number, part in enumerate(planes)]
    found = list(Smoothing(Still(frames=3, step=2), CONFIG, fixed={0, 2})(iter(frames)))[1]
    assert found[1, 5].argmax() == 6
    assert found[1, 5, 6] == pytest.approx(1)
    assert found[1, 5, :5].max() == pytest.approx(0)


def test_what_is_thin_outlasts_the_sweeps() -> None:
    """A line two pixels wide, which runs a quarter of a pixel a frame; every look-up falls between pixels."""
    flow = Still(frames=7, step=0.25)
    columns = np.arange(WIDTH, dtype=np.float32)
    lines = [np.clip(1.5 - np.abs(columns - 6 - frame / 4), 0, 1) for frame in range(7)]
    planes = [np.tile(line, (HEIGHT, 1)) for line in lines]
    frames = [Given(np.stack([1 - plane, plane]), 0.1) for plane in planes]
    found = list(Smoothing(flow, CONFIG)(iter(frames)))[3]
    flow.fields.thin = lambda probabilities: None  # as if nothing were
    worn = list(Smoothing(flow, CONFIG)(iter(frames)))[3]
    assert found[1, 6].max() > worn[1, 6].max() + 0.03
    assert np.abs(found[1, 6] - planes[3][6]).sum() < 0.8 * np.abs(worn[1, 6] - planes[3][6]).sum()
    assert found.sum(0) == pytest.approx(np.ones((HEIGHT, WIDTH)), abs=1e-5)


def test_where_nothing_is_known_nothing_is_said() -> None:
    unknown = [Given(np.zeros((2, HEIGHT, WIDTH), np.float32), 0.0)] * 3
    assert not np.stack(list(Smoothing(Still(frames=3), CONFIG)(iter(unknown)))).any()


@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_what_is_unknown_has_no_voice_until_its_neighbours_give_it_one(sweeps: int) -> None:
    """The second half of some frames is unknown: all around it, sweep by sweep, by hand."""
    random, frames = np.random.default_rng(0), 7
    planes = random.random((frames, 3, HEIGHT, WIDTH)).astype(np.float32)
    planes /= planes.sum(1, keepdims=True)
    for frame in (0, 1, 2, 5):
        planes[frame, :, :, WIDTH // 2 :] = 0
    confidence = random.random((frames, HEIGHT, WIDTH)).astype(np.float32)
    config = SmoothingConfig(sweeps=sweeps, hops=(1,))
    flow = Still(frames=frames, agreement=0.4)
    flow.fields.thin = lambda probabilities: None
    found = list(Smoothing(flow, config, fixed={5})(Given(*pair) for pair in zip(planes, confidence, strict=True)))
    current = list(planes.astype(np.float64))
    for _ in range(sweeps):
        for t in set(range(frames)) - {5}:
            around = sum(0.4 * current[n] for n in (t - 1, t + 1) if 0 <= n < frames)
            total = config.prior * confidence[t] * planes[t] + around
            current[t] = total / total.sum(0).clip(min=1e-9)
    assert np.abs(np.stack(found) - np.stack(current)).max() < 1e-5
    assert (found[0].sum(0) == 0).any() == (sweeps < 3)  # three frames off what is known


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_videos(frames: int) -> None:
    assert len(smoothed(Smoothing(Still(frames=frames), CONFIG), [0.5] * frames)) == frames


def test_no_sweeps_nothing_happens() -> None:
    flow = Still()
    assert smoothed(Smoothing(flow, SmoothingConfig(sweeps=0)), [1.0, 0.0] * 4 + [1.0]) == [1.0, 0.0] * 4 + [1.0]
    assert not flow.asked


def test_each_flow_once_and_a_window_in_memory() -> None:
    """However long the video is."""
    frames, sweeps = 40, 3
    flow = Still(frames)
    smoothing, largest = Smoothing(flow, SmoothingConfig(sweeps=sweeps)), 0
    for _ in smoothing(given([0.5] * frames)):
        largest = max(largest, len(smoothing._current))
    assert len(flow.asked) == len(set(flow.asked)) == 2 * sum(frames - hop for hop in HOPS)
    assert largest <= (max(HOPS) + 1) * (sweeps + 1)


def test_the_same_twice_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = torch.randint(0, 256, (3, 6, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    random = np.random.default_rng(0).random((6, 2, 32, 48)).astype(np.float32)
    frames = [Given(part / part.sum(0), 0.5) for part in random]
    smoothing = Smoothing(flow_of(volume), CONFIG)
    found = np.stack(list(smoothing(iter(frames))))
    assert np.array_equal(np.stack(list(smoothing(iter(frames)))), found)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert np.array_equal(np.stack(list(Smoothing(flow_of(volume), CONFIG)(iter(frames)))), found)


@pytest.mark.parametrize("hops", [[1], [1, 3], [2, 1]])
def test_neighbours_are_as_far_off_as_is_said(hops: list[int]) -> None:
    values = np.random.default_rng(0).random(FRAMES).tolist()
    current = list(values)
    for _ in range(3):
        for t in range(FRAMES):
            near = [t + sign * hop for hop in hops for sign in (-1, 1) if 0 <= t + sign * hop < FRAMES]
            current[t] = (2 * values[t] + sum(current[n] for n in near)) / (2 + len(near))
    found = smoothed(Smoothing(Still(), SmoothingConfig(sweeps=3, hops=hops, prior=2.0)), values)
    assert found == pytest.approx(current, abs=1e-5)


def test_keys() -> None:
    flow = Still()
    changed = [SmoothingConfig(sweeps=4), SmoothingConfig(hops=[1]), SmoothingConfig(prior=2.0), CONFIG]
    assert len({smoothing_key(flow, config) for config in changed}) == 4
    assert smoothing_key(flow, SmoothingConfig(confidence=1.0)) == smoothing_key(flow, CONFIG)  # that of predictions
