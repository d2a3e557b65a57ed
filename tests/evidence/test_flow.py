"""Flow finds where pixels have gone, and says how far it can be trusted."""

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence import flow as module
from revseg.evidence.flow import CONTRAST, REACH, SUBPIXEL, Flow, flow_height, look_up, look_up_planes

HEIGHT, WIDTH = 64, 96


def texture(seed: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def running(frames: int, step: int) -> torch.Tensor:
    """A ground that runs to the right, `step` pixels a frame."""
    ground = texture(0, HEIGHT, WIDTH + step * frames)
    pictures = [ground[:, step * (frames - frame) :][:, :WIDTH] for frame in range(frames)]
    return torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2).contiguous()


@pytest.mark.parametrize("enlarged", [2, 3, 6])
def test_flow_finds_where_pixels_are(enlarged: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pixels of the video, however much its frames are enlarged."""
    monkeypatch.setattr(module, "LEAST_HEIGHT", enlarged * HEIGHT)
    flow = Flow(running(2, 3))
    assert flow.factor == enlarged
    position = flow.position(1, 0)
    assert np.median(position - flow.identity, axis=(0, 1)) == pytest.approx([-3, 0], abs=0.2)
    moved = flow.moved(flow.displacement(1, 0))
    assert np.abs(moved - position).max() <= 0.5 / SUBPIXEL + 1e-4


def test_agreement_falls_with_the_way_there_and_back_and_with_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: back again three pixels to the right and four down, of frames that are enlarged twice; 20 of 255 darker."""
    monkeypatch.setattr(module, "LEAST_HEIGHT", 2 * HEIGHT)
    volume = torch.full((3, 2, HEIGHT, WIDTH), 90, dtype=torch.uint8)
    flow = Flow(volume)
    same = flow.agreement(0, 1, flow.identity, flow.identity)
    assert same == pytest.approx(np.ones((HEIGHT, WIDTH)))
    inside = slice(8, -8), slice(8, -8)
    away = flow.agreement(0, 1, flow.identity, flow.identity + np.float32([3, 4]))
    assert away[inside] == pytest.approx(np.exp(-2 * 5 / REACH), rel=1e-4)
    volume[:, 1] = 70
    assert flow.agreement(0, 1, flow.identity, flow.identity) == pytest.approx(np.exp(-20 / CONTRAST), rel=1e-4)
    volume[:, 1] = 255
    assert flow.agreement(0, 1, flow.identity, flow.identity) == pytest.approx(1e-3)  # little, but more than nothing


def test_planes_are_looked_up_linearly() -> None:
    plane = np.arange(6, dtype=np.float32)[None].repeat(2, 0)
    position = np.stack(np.meshgrid(np.arange(6), np.arange(2)), -1).astype(np.float32) + np.float32([0.5, 0])
    found = look_up_planes(np.stack([plane, 10 * plane]), position)
    assert found[0].tolist() == [[0.5, 1.5, 2.5, 3.5, 4.5, 5.0]] * 2  # beyond the border what is at the border
    assert found[1] == pytest.approx(10 * found[0])


def test_positions_are_looked_up_as_planes_are() -> None:
    """To the bit; both coordinates at once OpenCV would take from a grid of 1/32 of a pixel."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    position = np.stack([columns, rows], -1) + generator.normal(0, 3, (HEIGHT, WIDTH, 2)).astype(np.float32)
    field = generator.normal(0, 100, (HEIGHT, WIDTH, 2)).astype(np.float32)
    found = look_up(field, position, cv2.INTER_LINEAR)
    assert np.array_equal(found.transpose(2, 0, 1), look_up_planes(field.transpose(2, 0, 1), position))


def test_of_large_frames_fewer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(module, "free_memory", lambda device: 8 << 30)
    sizes = [(96, 170), (480, 854), (1080, 1920), (4320, 7680)]
    assert [Flow(torch.zeros(3, 1, *size, dtype=torch.uint8)).threads for size in sizes] == [41, 26, 5, 1]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert Flow(torch.zeros(3, 1, 480, 854, dtype=torch.uint8)).threads == 4


def test_threads_of_opencv_are_those_that_ours_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cv2.getNumThreads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    try:
        for ours, left in ((None, 1), (3, 2), (4, 1), (1, 6)):
            Flow(torch.zeros(3, 1, 48, 64, dtype=torch.uint8), threads=ours)
            assert cv2.getNumThreads() == left
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("height", "native", "expected"), [(96, 1080, 480), (96, 240, 240), (720, 1080, 720)])
def test_height_of_the_flow(height: int, native: int, expected: int) -> None:
    assert flow_height(height, native) == expected
