"""What is seen of some pixels is what is seen of the frame, and contours are seen in more lines."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from revseg.evidence.background import DIFFERENCES, Scene
from revseg.evidence.by_looks import ByLooks, draft_of
from revseg.evidence.config import FlowConfig, LooksConfig, MotionConfig
from revseg.evidence.descriptors import NUMBERS
from revseg.evidence.native.library import compiled
from revseg.evidence.sight import NEAR, Sight, near_contours
from revseg.labels.sample import Sample
from tests.evidence.made import EVIDENCE, flow_of, sample, texture

FRAMES, HEIGHT, WIDTH = 10, 200, 240


@pytest.fixture(scope="module")
def volume() -> torch.Tensor:
    wide = texture(0, HEIGHT, WIDTH + FRAMES)
    pictures = [wide[:, frame:][:, :WIDTH] for frame in range(FRAMES)]
    return torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2).contiguous()


@pytest.fixture(scope="module")
def scene(volume: torch.Tensor) -> Scene:
    ground = np.ones((HEIGHT // 2, WIDTH // 2), np.uint8)  # at whatever size
    return Scene.of(flow_of(volume, FlowConfig(least_height=HEIGHT)), lambda frame: ground, MotionConfig())


@pytest.mark.parametrize("height", [HEIGHT, 150])
def test_some_pixels_are_seen_as_in_the_frame(volume: torch.Tensor, height: int) -> None:
    """In their order, those of several parts of it, at its borders too."""
    sight = Sight(volume, height)
    whole, pixels = sight.seen(5), np.zeros(sight.size, bool)
    assert whole.shape == (*sight.size, NUMBERS)
    pixels[:5, :7] = pixels[90:110, 3:9] = pixels[95:100, -20:] = pixels[-2:, 60:70] = True
    expected, spread = whole[torch.from_numpy(pixels)], whole.flatten(0, 1).std(0)
    error = (sight.some(5, pixels) - expected).abs()
    assert (error <= 0.02 * spread + 1e-3).all()  # of what is farther off than three standard deviations
    assert sight.some(5, np.zeros(sight.size, bool)).shape == (0, NUMBERS)


@pytest.mark.skipif(not compiled(), reason="OpenCV sees no farther than three standard deviations here")
def test_some_pixels_are_seen_to_the_bit_as_in_the_frame(volume: torch.Tensor) -> None:
    sight, pixels = Sight(volume, HEIGHT), np.zeros((HEIGHT, WIDTH), bool)
    pixels[95:105, 100:120:3] = True
    assert torch.equal(sight.some(5, pixels), sight.seen(5)[torch.from_numpy(pixels)])


@pytest.mark.parametrize("height", [HEIGHT, 150])
def test_in_a_scene_it_is_seen_how_pixels_differ_from_what_is_behind(volume: torch.Tensor, scene: Scene, height: int) -> None:
    seen = Sight(volume, height, scene=scene).seen(5)
    assert seen.shape[2] == NUMBERS + DIFFERENCES
    assert torch.equal(seen[..., :NUMBERS], Sight(volume, height).seen(5))
    assert seen[..., NUMBERS + 3].mean() > 0.9  # all of it is known


def test_what_is_near_a_contour() -> None:
    classes = np.zeros((100, 120), np.uint8)
    classes[40:60, 50:70], classes[40:60, 60:70] = 1, 2
    near = near_contours(classes)
    assert near[40:60, 50:70].all()
    assert near[50, 50 - NEAR] > near[50, 50 - NEAR - 1]
    assert near[60 + NEAR - 1, 60] > near[60 + NEAR, 60]
    assert not near_contours(np.ones((50, 60), np.uint8)).any()


def bars() -> tuple[Sample, np.ndarray]:
    """An object of bars of two pixels each, with one between them, which runs over the ground; and its masks."""
    frames, size = 9, (96, 128)
    volume, truth = np.repeat(texture(0, *size)[None] // 4, frames, 0), np.zeros((frames, *size), np.uint8)
    for frame in range(frames):
        for column in range(2):
            truth[frame, 30:70, 10 + column + 4 * frame : 43 + 4 * frame : 3] = 1
    volume[truth == 1] = 250, 40, 40
    return sample(volume, truth, (0,)), truth


@pytest.mark.slow
def test_contours_are_as_fine_as_they_are_seen() -> None:
    """In half of the lines bars and gaps run into each other."""
    video, truth = bars()
    flow, planes = flow_of(video.volume), torch.from_numpy(np.stack([truth != 1, truth == 1, truth < 0])).to(torch.uint8) * 255
    flow.keep_near({1})
    found = {}
    for lines in (48, 96):
        config = replace(EVIDENCE, looks=LooksConfig(height=48, contour_height=lines))
        smoothed = (flow.fields.field(planes[:2, frame].float() / 255) for frame in range(len(truth)))
        looks = ByLooks(video, planes, draft_of(smoothed, video, flow=flow, config=config.looks), flow=flow, config=config)
        (told,) = looks.told([6], planes[-1])
        weighed = looks.weighed(torch.full((3, *truth.shape[1:]), 127, dtype=torch.uint8), told.said)
        found[lines] = iou(weighed.argmax(0).numpy() == 1, truth[6] == 1)
    assert found[96] > 0.9 > found[48] + 0.2


@pytest.mark.slow
def test_where_looks_do_not_count_contours_are_not_seen(monkeypatch) -> None:
    """With several labels: where the evidence is sure."""
    video, truth = bars()
    video = sample(video.volume.permute(1, 2, 3, 0).numpy(), truth, (0, 8))
    flow, planes = flow_of(video.volume), torch.from_numpy(np.stack([truth != 1, truth == 1, truth >= 0])).to(torch.uint8) * 255
    flow.keep_near({1})
    config = replace(EVIDENCE, looks=LooksConfig(height=48, contour_height=96, steps=20))
    smoothed = (flow.fields.field(planes[:2, frame].float() / 255) for frame in range(len(truth)))
    looks = ByLooks(video, planes, draft_of(smoothed, video, flow=flow, config=config.looks), flow=flow, config=config)
    asked, some = [], Sight.some

    def noted(sight: Sight, frame: int, pixels: np.ndarray, **into: torch.Tensor) -> torch.Tensor:
        asked.append(pixels.copy())
        return some(sight, frame, pixels, **into)

    monkeypatch.setattr(Sight, "some", noted)
    planes[-1, :, :, 64:] = 0
    list(looks.told([4], planes[-1]))
    assert asked[-1][:, 70:].any()
    assert not asked[-1][:, :58].any()


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())
