"""The forecast of a whole run: its phases, and the arrays that they really hold."""

import os
import subprocess
import sys
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.settings import compose

from revseg.config import TrainConfig
from revseg.evidence.background import PICTURES, Background, Scene
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carrier import Carrier
from revseg.evidence.config import EvidenceConfig, FlowConfig, LooksConfig, SmoothingConfig
from revseg.evidence.descriptors import picture_at
from revseg.evidence.gaps import gaps_between
from revseg.evidence.memory import EvidenceSize, evidence_phases, flow_bytes, looks_bytes, smoothing_bytes
from revseg.evidence.opencv import COLOURS
from revseg.evidence.smoothing import Given, Smoothing
from revseg.evidence.sources import Labels
from revseg.forecast.memory import RunForecast, forecast_run
from revseg.forecast.outline import Outline
from revseg.labels.dataset import evenly_spaced
from revseg.network.config import NetworkConfig
from revseg.training.augment import augmenting_bytes
from revseg.video.memory import Footage
from tests.evidence.made import flow_of, moving

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
HELD = 600 * MEGABYTE
EVIDENCE = EvidenceConfig(flow=FlowConfig(least_height=64))


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    return compose([])


def outline(frames: int = 40, labelled: int = 5, classes: int = 2, native: tuple[int, int] = (480, 854)) -> Outline:
    return Outline(Footage(frames, native), evenly_spaced(frames, labelled), known=labelled, classes=classes)


def forecast(config: TrainConfig, found: Outline, device: str = "cpu") -> RunForecast:
    return forecast_run(config, found, found.network(config), device=device, held=HELD, threads=1)


def test_the_peak_is_the_greatest_phase_and_holds_the_libraries(config: TrainConfig) -> None:
    found = forecast(config, outline())
    assert found.peak == max(found.host.values()) == found.host[found.phase]
    assert min(found.host.values()) > HELD
    assert found.device == {}
    assert list(found.host)[:3] == ["decoding", "optical flow", "carrying labels"]


@pytest.mark.parametrize(
    ("more", "phase"),
    [({"frames": 60}, "training"), ({"classes": 4}, "segmenting"), ({"native": (2160, 3840)}, "writing"), ({}, None)],
)
def test_what_grows_with_what(config: TrainConfig, more: dict, phase: str | None) -> None:
    before, after = forecast(config, outline()), forecast(config, outline(**more))
    assert after.peak >= before.peak
    assert phase is None or after.host[phase] > before.host[phase]


def test_only_frames_between_two_labels_wait_for_the_second(config: TrainConfig) -> None:
    pixels = 480 * 854
    one, five = (outline(labelled=count).evidence_size(config) for count in (1, 5))
    assert one.longest_gap == 0
    assert five.longest_gap == 9
    phases = [evidence_phases(sizes, config.evidence, 1)["carrying labels"] for sizes in (one, five)]
    assert phases[1] - phases[0] == 2 * 2 * 9 * pixels


def test_a_gpu_takes_the_step_from_the_host(config: TrainConfig) -> None:
    cpu, gpu = forecast(config, outline()), forecast(config, outline(), device="cuda")
    assert gpu.device["training"] == gpu.network.total > 0
    assert set(gpu.device) == {"training", "inference", "segmenting"}
    assert cpu.device_peak == 0


def test_without_evidence_nothing_is_carried(config: TrainConfig) -> None:
    plain = compose(["evidence=none"])
    assert list(forecast(plain, outline()).host) == ["decoding", "training", "inference", "segmenting", "writing"]
    assert forecast(plain, outline()).peak < forecast(config, outline()).peak


def test_of_a_single_pass_the_state_stays_while_masks_are_made() -> None:
    one, two = (compose(["evidence=none", f"placements={count}"]) for count in (1, 2))
    found, summed = forecast(one, outline()), forecast(two, outline())
    _, height, width = outline().network_size(one.data)
    total = 2 * 2 * 40 * height * width  # of two classes in float16
    assert found.host["segmenting"] - summed.host["segmenting"] > found.network.slab - total


def peak_of(work: Callable[[], object]) -> int:
    """Peak bytes of NumPy's arrays during some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("frames", "classes", "sweeps"), [(24, 2, 5), (24, 4, 5), (10, 3, 5), (24, 2, 1)])
def test_smoothing_holds_what_is_told(frames: int, classes: int, sweeps: int) -> None:
    video, _ = moving([0, frames - 1], frames=frames)
    flow = flow_of(video.volume, EVIDENCE.flow, threads=1)
    flow.keep_near({1, 2})
    config, shape = SmoothingConfig(sweeps=sweeps), (classes + 1, *flow.size[::-1])

    def given() -> Iterator[Given]:
        for _ in range(frames):
            planes = np.full(shape, 1 / classes, np.float32)
            yield Given(planes[:-1], planes[-1])

    fixed = [0, frames - 1]
    held = peak_of(lambda: deque(Smoothing(flow, config, fixed=fixed)(given()), maxlen=0))
    pixels = flow.size[0] * flow.size[1]
    told = smoothing_bytes(pixels, frames, classes, config=config, fixed=len(fixed), threads=1)
    assert (told + 4 * COLOURS * pixels) / held == pytest.approx(1, abs=0.15 if sweeps > 1 else 0.2)


@pytest.mark.parametrize("labelled", [(0,), (0, 11), (0, 6, 11)])
def test_carrying_holds_what_is_told(labelled: tuple[int, ...]) -> None:
    video, _ = moving(labelled, frames=12)
    flow = flow_of(video.volume, EVIDENCE.flow, threads=1)
    flow.keep_near({1, 2})
    carrier = Carrier(Labels(video, 2, flow=flow), config=EVIDENCE.carry, cache=EvidenceCache(None))
    gaps = gaps_between(labelled, 12)
    held = peak_of(lambda: carrier.carried(gaps))
    sizes = EvidenceSize(12, (64, 96), 2, labelled_frames=labelled)
    told = evidence_phases(sizes, EVIDENCE, 1)["carrying labels"]
    told -= flow_bytes((64, 96), EVIDENCE, 1) - (8 + 4 * COLOURS) * sizes.pixels  # DIS is not NumPy's,
    told -= 2 * 2 * sizes.longest_gap * sizes.pixels  # nor is what waits
    assert told / held == pytest.approx(1, abs=0.2)


LOOKS = """
from pathlib import Path
import numpy as np
import torch
from revseg.evidence.config import LooksConfig
from revseg.evidence.descriptors import NUMBERS, descriptors
from revseg.evidence.looks import Looks, objectness, sure_objects, surely, weigh
values, numbers = torch.rand(9, NUMBERS), torch.arange(9) % 2
looks = Looks(values, numbers, 2, config=LooksConfig(steps=2), device=torch.device("cpu"))
weigh(torch.rand(3, 8, 8), looks.odds(descriptors(np.zeros((8, 8, 3), np.uint8))), 0.5, 4)
frame, probabilities = np.zeros((480, 854, 3), np.uint8), torch.rand(3, 480, 854)
def size_of(name):
    (found,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name + ":")]
    return int(found) << 10
Path("/proc/self/clear_refs").write_text("5")  # VmHWM, which getrusage would begin with that of the parent, is VmRSS
before = size_of("VmRSS")
waiting, weighed = descriptors(frame), descriptors(frame)
said = looks.odds(weighed)
weigh(probabilities, said, 0.5, 4)
objectness(said)
sure = sure_objects(said)
surely(said[:, sure], looks.odds(weighed[sure]))
print(size_of("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="sizes are read from Linux's /proc")
def test_looks_hold_what_is_told() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, text=True, check=True, env=environment)
    told = looks_bytes(
        EvidenceSize(10, (480, 854), 2, labelled_frames=(0,)), LooksConfig(height=480, frames=0, background=False), 1
    )
    # Here the next frame's descriptors are not made meanwhile.
    assert 0.95 < told / int(done.stdout) < 1.6


def test_what_is_behind_takes_what_is_told() -> None:
    """Once it has seen a video in which a frame's neighbours all show something."""
    frames, size = PICTURES + 2, (120, 200)
    volume = torch.zeros(3, frames, *size, dtype=torch.uint8)
    flow = flow_of(volume, FlowConfig(finest_scale=2, least_height=size[0]))
    ground = np.ones(size, np.uint8)
    pictures = lru_cache(PICTURES)(lambda frame: picture_at(volume[:, frame], size[0]))
    background = Background(pictures, size, Scene.of(flow, lambda frame: ground, EVIDENCE.motion))
    held = peak_of(lambda: [background.differences(frame).sum() for frame in range(frames)])
    sizes = EvidenceSize(frames, size, 2, labelled_frames=(0,))
    told = looks_bytes(sizes, LooksConfig(), 1) - looks_bytes(sizes, LooksConfig(background=False), 1)
    assert 0.95 < told / held < 1.6


def test_looks_of_small_frames_take_little() -> None:
    sizes = EvidenceSize(10, (480, 854), 2, labelled_frames=(0,))
    coarse = LooksConfig(contour_height=240)
    assert looks_bytes(sizes, coarse, 1) < looks_bytes(sizes, LooksConfig(height=480), 1) / 2
    assert looks_bytes(sizes, coarse, 1) < looks_bytes(sizes, LooksConfig(), 1)
    blind = replace(EVIDENCE, looks=LooksConfig(power=0))
    assert "looks" not in evidence_phases(sizes, blind, 1)
    assert "looks" in evidence_phases(sizes, replace(blind, looks=LooksConfig()), 1)
    assert "looks" not in evidence_phases(replace(sizes, labelled_frames=()), replace(blind, looks=LooksConfig()), 1)


def test_items_count_once_for_each_that_is_made_ahead(config: TrainConfig) -> None:
    more = replace(config, training=replace(config.training, ahead=3))
    making = augmenting_bytes(NetworkConfig(channels=1, evidence=True, classes=2), (40, 96, 171), "cpu")
    one = 6 * 40 * 96 * 171 + making
    difference = forecast(more, outline()).host["training"] - forecast(config, outline()).host["training"]
    assert difference == one


def test_twice_as_many_frames_take_no_more_memory_beside_the_network_but_disk(config: TrainConfig) -> None:
    """Of 10,000 frames and 20,000, a label every 100."""
    long, longer = (forecast(config, outline(frames, labelled=frames // 100)) for frames in (10_000, 20_000))
    beside = []
    for found in (long, longer):
        own = {"training": found.network.total - found.network.input, "inference": found.network.states}
        beside.append(max(size - own.get(name, 0) for name, size in found.host.items()))
    assert beside[1] <= beside[0] + 0.09e9 < 2e9
    assert longer.disk["frames"] > 1.9 * long.disk["frames"] > 10_000 * 6 * 480 * 854
    assert "frames" not in forecast(config, outline(10)).disk
