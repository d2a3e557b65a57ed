"""Flow finds where pixels have gone, and says how far it can be trusted."""

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence import flow as module
from revseg.evidence.config import FlowConfig
from revseg.evidence.fields import SUBPIXEL
from revseg.evidence.flow import Flow, flow_height
from revseg.evidence.opencv import length
from revseg.evidence.store import FlowStore
from tests.evidence.made import FLOW, HEIGHT, WIDTH, flow_of, running


@pytest.mark.parametrize("enlarged", [2, 3, 6])
def test_flow_finds_where_pixels_are(enlarged: int) -> None:
    """In pixels of the video, however much its frames are enlarged."""
    flow = flow_of(running(2, 3), FlowConfig(least_height=enlarged * HEIGHT))
    assert flow.factor == enlarged
    position = flow.position(1, 0)
    assert np.median(position - flow.identity, axis=(1, 2)) == pytest.approx([-3, 0], abs=0.2)
    moved = flow.fields.moved(flow.displacement(1, 0))
    assert np.abs(moved - position).max() <= 0.5 / SUBPIXEL + 1e-4


@pytest.mark.parametrize(("height", "width", "factor"), [(4, 400, 7), (400, 1, 12), (2, 3, 192), (96, 384, 4)])
def test_strips_are_not_enlarged_without_end(height: int, width: int, factor: int) -> None:
    """Nor are they too narrow for the patches of DIS."""
    flow = Flow(torch.zeros(3, 2, height, width, dtype=torch.uint8), FlowConfig(), store=FlowStore(None, keep=False), threads=1)
    assert flow.factor == factor
    assert flow.displacement(1, 0).shape == (2, height, width)


def test_agreement_falls_with_the_way_there_and_back_and_with_colour() -> None:
    """By hand: back again three pixels to the right and four down, of frames that are enlarged twice; 20 of 255 darker."""

    def video(second: int) -> Flow:
        volume = torch.full((3, 2, HEIGHT, WIDTH), 90, dtype=torch.uint8)
        volume[:, 1] = second
        return flow_of(volume)

    flow = video(90)
    same = flow.agreement(0, 1, to=flow.identity, fro=flow.identity)
    assert same == pytest.approx(np.ones((HEIGHT, WIDTH)))
    inside = slice(8, -8), slice(8, -8)
    away = flow.agreement(0, 1, to=flow.identity, fro=flow.identity + np.float32([3, 4]).reshape(2, 1, 1))
    assert away[inside] == pytest.approx(np.exp(-2 * 5 / FLOW.reach), rel=1e-4)
    for second, expected in (70, np.exp(-20 / FLOW.contrast)), (255, 1e-3):  # little, but more than nothing
        assert video(second).agreement(0, 1, to=flow.identity, fro=flow.identity) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["opencv", "torch"])
def test_planes_are_looked_up_linearly(kind: str) -> None:
    fields = flow_of(torch.zeros(3, 1, 2, 6, dtype=torch.uint8), FlowConfig(method=kind)).fields
    plane = torch.arange(6.0).repeat(2, 1)
    half = fields.field(torch.tensor([0.5, 0]).view(2, 1, 1))
    found = fields.tensor(fields.look_up(fields.field(torch.stack([plane, 10 * plane])), fields.identity + half))
    expected = torch.tensor([[0.5, 1.5, 2.5, 3.5, 4.5, 5.0]] * 2)  # beyond the border what is at the border
    assert torch.allclose(found, torch.stack([expected, 10 * expected]), atol=1e-4)


def bars() -> torch.Tensor:
    """(2, 20, 40): the background, and an object with bars 2, 4 and 8 pixels wide."""
    bars = torch.zeros(20, 40)
    bars[2:18, 4:6], bars[2:18, 12:16], bars[2:18, 24:32] = 1, 1, 1
    return torch.stack([1 - bars, bars])


@pytest.mark.parametrize("kind", ["opencv", "torch"])
def test_what_is_thin_is_looked_up_cubically(kind: str) -> None:
    """A quarter of a pixel off, a bar two pixels wide keeps more of itself; a wide one stays as it is looked up linearly."""
    fields = flow_of(torch.zeros(3, 1, 20, 40, dtype=torch.uint8), FlowConfig(method=kind)).fields
    planes = fields.field(bars())
    quarter = fields.identity + fields.field(torch.tensor([0.25, 0]).view(2, 1, 1))
    plain, sharp = (fields.tensor(fields.look_up(planes, quarter, places)) for places in (None, fields.thin(planes)))
    assert plain[1, 9, 3:6].tolist() == pytest.approx([0.25, 1, 0.75], abs=1e-4)
    assert sharp[1, 9, 4] == 1  # never more
    assert sharp[1, 9, 5] > 0.77
    assert sharp[1, 9, 3] < 0.23
    assert torch.allclose(plain[:, 6:14, 20:36], sharp[:, 6:14, 20:36], atol=1e-4)


@pytest.mark.parametrize("kind", ["opencv", "torch"])
def test_thin_is_less_wide_than_five_pixels_and_distinct(kind: str) -> None:
    fields = flow_of(torch.zeros(3, 1, 20, 40, dtype=torch.uint8), FlowConfig(method=kind)).fields

    def where(planes: torch.Tensor) -> torch.Tensor:
        """(H, W) bool, whatever the form of places."""
        places = fields.thin(fields.field(planes))
        found = torch.zeros(20, 40, dtype=torch.bool)
        if places is not None:
            found.view(-1)[torch.as_tensor(places).view(-1)] = True
        return found

    found = where(bars())
    assert found[9, 3:7].all()  # with the pixels beside
    assert found[9, 11:17].all()
    assert not found[9, 20:36].any()
    assert where(bars().flip(0)).equal(found)  # a gap in an object is as thin
    assert not where(0.5 * bars()).any()  # hardly to be told from what is around
    assert not where(torch.zeros(2, 20, 40)).any()


def test_of_large_frames_fewer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(module, "free_memory", lambda device: 8 << 30)
    sizes = [(96, 170), (480, 854), (1080, 1920), (4320, 7680)]
    assert [flow_of(torch.zeros(3, 1, *size, dtype=torch.uint8), FlowConfig()).threads for size in sizes] == [41, 26, 5, 1]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert flow_of(torch.zeros(3, 1, 480, 854, dtype=torch.uint8), FlowConfig()).threads == 4


def test_threads_of_opencv_are_those_that_ours_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cv2.getNumThreads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    try:
        for ours, left in ((None, 1), (3, 2), (4, 1), (1, 6)):
            flow_of(torch.zeros(3, 1, 48, 64, dtype=torch.uint8), threads=ours).pool  # noqa: B018
            assert cv2.getNumThreads() == left
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("height", "native", "expected"), [(96, 1080, 480), (96, 240, 240), (720, 1080, 720)])
def test_height_of_the_flow(height: int, native: int, expected: int) -> None:
    assert flow_height(height, native, FlowConfig()) == expected


def test_a_constructor_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens no file, starts no thread, and leaves OpenCV as it is."""
    for name in ("free_memory", "digest"):
        monkeypatch.setattr(module, name, None)
    threads, opencv = threading.active_count(), cv2.getNumThreads()
    flow = Flow(running(3, 1), FlowConfig(), store=FlowStore(tmp_path / "evidence"))
    assert (flow.frames, flow.size, flow.factor) == (3, (WIDTH, HEIGHT), 6)
    assert not list(tmp_path.iterdir())
    assert (threading.active_count(), cv2.getNumThreads()) == (threads, opencv)


def test_keys_are_those_of_the_video_and_of_what_matters() -> None:
    volume = running(3, 1)
    key = flow_of(volume).key
    assert flow_of(volume.clone(), replace(FLOW, height=96)).key == key
    changes: list[dict[str, Any]] = [{"least_height": 64}, {"preset": "fast"}, {"finest_scale": 1}, {"refinement": 2}]
    keys = {flow_of(volume, replace(FLOW, **change)).key for change in changes}
    other = volume.clone()
    other[2, 2, -1, -1] += 1
    assert len(keys | {flow_of(other).key, key}) == 6
    for change in ({"reach": 8.0}, {"contrast": 5.0}, {"blur": 5}, {"least": 0.1}):
        changed = flow_of(volume, replace(FLOW, **change))
        assert changed.key == key
        assert changed.agreement_key != flow_of(volume).agreement_key


@pytest.mark.parametrize("change", [{"preset": "ultrafast"}, {"finest_scale": 1}, {"refinement": 5}, {"least_height": 64}])
def test_settings_are_heard(change: dict[str, Any]) -> None:
    """Each still finds the motion, but not the same bits (DIS takes its patches from the preset)."""
    volume = running(2, 3)
    flow, other = flow_of(volume), flow_of(volume, replace(FLOW, **change))
    assert not np.array_equal(flow.displacement(1, 0), other.displacement(1, 0))
    assert np.median(other.position(1, 0) - flow.identity, axis=(1, 2)) == pytest.approx([-3, 0], abs=0.3)


def test_agreement_has_its_settings() -> None:
    volume = torch.full((3, 2, HEIGHT, WIDTH), 90, dtype=torch.uint8)
    volume[:, 1] = 70
    flow = flow_of(volume, replace(FLOW, contrast=40.0, least=0.7))
    assert flow.agreement(0, 1, to=flow.identity, fro=flow.identity) == pytest.approx(0.7)
    flow = flow_of(volume, replace(FLOW, contrast=40.0, blur=1))
    assert flow.agreement(0, 1, to=flow.identity, fro=flow.identity) == pytest.approx(np.exp(-0.5), rel=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_flow_follows_a_picture_of_any_number_of_channels(channels: int) -> None:
    """A texture that moves two pixels to the right, the same in all channels: as in grey."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 24), dtype=np.uint8)
    whole = cv2.resize(coarse, (100, 64), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([whole[:, 4:], whole[:, 2:-2]])
    grey, many = (
        Flow(torch.from_numpy(frames).expand(count, -1, -1, -1).contiguous(), FlowConfig(), store=FlowStore())
        for count in (3, channels)
    )
    assert np.array_equal(many.displacement(0, 1), grey.displacement(0, 1))
    assert np.median(many.displacement(0, 1)[0]) == pytest.approx(2 * 32, abs=8)


def test_lengths_are_the_same_wherever_an_array_lies() -> None:
    """Else the same video would not have the same evidence twice."""
    vectors = np.random.default_rng(0).normal(size=(2, 120, 213)).astype(np.float32)
    found = set()
    for off in range(0, 64, 4):
        room = np.empty(vectors.nbytes + 128, np.uint8)
        start = -room.ctypes.data % 64 + off
        there = room[start : start + vectors.nbytes].view(np.float32).reshape(vectors.shape)
        there[...] = vectors
        found.add(length(*there).tobytes())
    assert len(found) == 1
    assert np.allclose(length(*vectors), np.hypot(*vectors))


THREADS = """
import os, torch
from revseg.evidence.config import FlowConfig
from revseg.evidence.flow import Flow
from revseg.evidence.store import FlowStore

torch.set_num_threads(4)
large = torch.zeros(1 << 20)
large.add_(1)  # wakes the threads of PyTorch
flow = Flow(torch.zeros(3, 2, 64, 96, dtype=torch.uint8), FlowConfig(), store=FlowStore(None, keep=False))
before = len(os.listdir("/proc/self/task"))
list(flow.pool.map(lambda _: large.add(1).sum(), range(100)))
print(flow.threads, len(os.listdir("/proc/self/task")) - before, torch.get_num_threads())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_threads_of_the_pool_wake_none_of_their_own() -> None:
    """They stay as long as the flow does: more threads of OpenMP than cores slow all down, a training that follows too."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    pool, more, left = map(int, done.stdout.split())
    assert pool == left == 4
    assert more == 4
