"""What is behind an object, and how the object, its shadow and the ground differ from it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from revseg.evidence.background import DIFFERENCES, Background, Scene
from revseg.evidence.config import FlowConfig, MotionConfig
from revseg.evidence.descriptors import picture_at, size_at
from tests.evidence.made import flow_of, texture

FRAMES, HEIGHT, WIDTH, SIDE = 26, 96, 144, 24
FLOW = FlowConfig(least_height=HEIGHT)


def scene(pan: int) -> tuple[torch.Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """A square crosses a ground, its shadow beneath it.

    Returns volume (3, T, H, W), objects and shadows (T, H, W), and the ground alone, (T, H, W, 3).
    """
    wide = texture(0, HEIGHT, WIDTH + pan * FRAMES) // 2 + np.uint8(60)
    square = texture(1, SIDE, SIDE)
    alone = np.stack([wide[:, pan * frame :][:, :WIDTH] for frame in range(FRAMES)])
    volume, (objects, shadows) = alone.copy(), np.zeros((2, FRAMES, HEIGHT, WIDTH), bool)
    for frame in range(FRAMES):
        columns = slice(4 + 4 * frame, 4 + 4 * frame + SIDE)
        objects[frame, 30 : 30 + SIDE, columns] = shadows[frame, 30 + SIDE : 46 + SIDE, columns] = True
        volume[frame, 30 : 30 + SIDE, columns] = square
        volume[frame][shadows[frame]] = (0.6 * alone[frame][shadows[frame]]).round()
    return torch.from_numpy(volume).permute(3, 0, 1, 2).contiguous(), objects, shadows, alone


def background(volume: torch.Tensor, ground: Callable[[int], np.ndarray], height: int = HEIGHT) -> Background:
    scene = Scene.of(flow_of(volume, FLOW), ground, MotionConfig())
    return Background(lambda frame: picture_at(volume[:, frame], height), size_at(volume.shape[2:], height), scene)


@pytest.mark.parametrize("pan", [0, 2])
def test_ground_is_seen_behind_what_moves(pan: int) -> None:
    volume, objects, _, alone = scene(pan)
    seen = background(volume, lambda frame: (~objects[frame]).astype(np.uint8))
    for frame in (3, 13, 22):
        behind, known = seen.behind(frame)
        assert known[objects[frame]].mean() > 0.95
        error = np.abs(behind.astype(float) - alone[frame])[known & objects[frame]]
        assert np.median(error) <= 4  # of 160
        assert error.mean() < 8


@pytest.mark.parametrize("pan", [0, 2])
def test_objects_differ_in_colour_and_shadows_in_lightness(pan: int) -> None:
    volume, objects, shadows, _ = scene(pan)
    seen = background(volume, lambda frame: (~objects[frame]).astype(np.uint8))
    colour, lightness, amount, known, *_ = seen.differences(13).numpy().transpose(2, 0, 1)
    inner = np.zeros((HEIGHT, WIDTH), bool)
    inner[36:48] = inner[58:66] = True
    thing, shadow = objects[13] & inner, shadows[13] & inner
    ground = ~(objects[13] | shadows[13])
    assert known[thing].all()
    assert colour[thing].mean() > 3 * colour[shadow].mean() > 0
    assert lightness[shadow].max() < -5
    assert np.median(amount[ground]) < 1 > np.median(colour[ground])


def test_what_is_never_free_is_not_known() -> None:
    volume, *_ = scene(0)
    covered = np.ones((HEIGHT, WIDTH), np.uint8)
    covered[:, 60:90] = 0
    seen = background(volume, lambda frame: covered)
    behind, known = seen.behind(12)
    assert not known[:, 60:90].any()
    assert known[:, :50].all()
    assert np.array_equal(behind[:, 60:90], volume[:, 12].permute(1, 2, 0).numpy()[:, 60:90])
    assert not seen.differences(12)[:, 60:90, :4].any()


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(1, 16, 16), (2, 12, 300), (9, 48, 64)])
def test_any_video_has_differences(channels: int, size: tuple[int, int, int]) -> None:
    """Nothing that is known to be ground among them."""
    volume = torch.randint(256, (channels, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    lines, columns = min(size[1], 24), size[2] if size[1] <= 24 else round(size[2] * 24 / size[1])
    for value in (0, 1):
        seen = background(volume, lambda frame, value=value: np.full((lines, columns), value, np.uint8), 24)  # type: ignore[misc]
        for frame in range(size[0]):
            found = seen.differences(frame)
            assert found.shape == (lines, columns, DIFFERENCES)
            assert found.isfinite().all()
