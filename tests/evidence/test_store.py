"""Flow that is needed again comes from disk, the same bits, and no room for it is no error."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from revseg.evidence import flow as flow_module
from revseg.evidence import store as module
from revseg.evidence.carry import propagate
from revseg.evidence.flow import NEAR, Flow
from revseg.evidence.motion import motion
from revseg.evidence.smoothing import Given, Smoothing
from revseg.evidence.store import FlowStore
from tests.evidence.test_carry import moving
from tests.evidence.test_flow import running

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 6, 8


def displacement(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (HEIGHT, WIDTH, 2), dtype=np.int16)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The flows that are computed."""
    monkeypatch.setattr(flow_module, "LEAST_HEIGHT", 32)
    pairs, find = [], Flow._find

    def counted(self: Flow, frame: int, other: int) -> np.ndarray:
        pairs.append((frame, other))
        return find(self, frame, other)

    monkeypatch.setattr(Flow, "_find", counted)
    return pairs


def test_what_is_kept_comes_back_from_any_thread(tmp_path: Path) -> None:
    store, pairs = FlowStore(tmp_path, HEIGHT, WIDTH), [(t, t + 1) for t in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: store.put(pair, displacement(pair[0])), pairs))
        found = list(pool.map(store.get, pairs))
    assert all(np.array_equal(one, displacement(pair[0])) for one, pair in zip(found, pairs, strict=True))
    assert store.get((1, 0)) is None


def test_the_file_has_no_name_and_ends_with_the_store(tmp_path: Path) -> None:
    store = FlowStore(tmp_path, HEIGHT, WIDTH)
    store.put((0, 1), displacement(0))
    assert not list(tmp_path.iterdir())
    number = store._file.fileno()
    del store
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_it_keeps_to_its_share_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 3 * displacement(0).nbytes + 1)
    store = FlowStore(tmp_path, HEIGHT, WIDTH)
    for number in range(5):
        store.put((number, number + 1), displacement(number))
    assert [store.get((number, number + 1)) is not None for number in range(5)] == [True, True, True, False, False]


def test_a_full_disk_is_said_once_and_flow_computed_again(tmp_path: Path) -> None:
    """A real one: no file of this process may grow beyond two and a half records."""
    program = f"""
import resource, signal, sys
import numpy as np
from pathlib import Path
from revseg.evidence.store import FlowStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FlowStore(Path({str(tmp_path)!r}), {HEIGHT}, {WIDTH})
record = {displacement(0).nbytes}
resource.setrlimit(resource.RLIMIT_FSIZE, (5 * record // 2, 5 * record // 2))
for number in range(6):
    store.put((number, number + 1), np.full(({HEIGHT}, {WIDTH}, 2), number, np.int16))
kept = [store.get((number, number + 1)) for number in range(6)]
print([None if one is None else int(one.min()) for one in kept])
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[0, 1, None, None, None, None]\n", done.stderr
    assert done.stderr.count("flow that is needed again is computed again from here on: File too large") == 1


@pytest.mark.parametrize("room", [0, 1 << 30])
def test_the_same_bits_with_room_and_without(room: int, computed: list, monkeypatch: pytest.MonkeyPatch) -> None:
    video, shares = moving((0, 8))[0], (0.25, 0.5)
    expected = propagate(video, 2, shares)
    monkeypatch.setattr(module, "LARGEST_BYTES", room)
    computed.clear()
    found = propagate(video, 2, shares)
    assert found.evidence.equal(expected.evidence)
    assert found.returned.equal(expected.returned)
    near = [pair for pair in computed if abs(pair[0] - pair[1]) <= NEAR]
    assert (len(near) > len(set(near))) == (room == 0)


def test_carrying_motion_and_smoothing_compute_each_flow_once(computed: list) -> None:
    video = moving((0, 8))[0]
    flow = Flow(video.volume)
    propagate(video, 2, flow=flow)
    near = {(t, n) for t in range(9) for n in range(9) if 0 < abs(t - n) <= NEAR}
    assert near <= set(computed)
    computed.clear()
    motion(flow)
    frames = [Given(np.full((2, *flow.identity.shape[:2]), 0.5, np.float32), 0.5)] * video.frames
    list(Smoothing(flow)(frames))
    assert not computed


@pytest.mark.parametrize("room", [0, 5, 100])
def test_near_flow_is_computed_before_it_is_needed_as_far_as_there_is_room(
    room: int, computed: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = running(7, 1)
    near = {(t, n) for t in range(7) for n in range(7) if 0 < abs(t - n) <= NEAR}
    monkeypatch.setattr(module, "LARGEST_BYTES", room * 4 * volume[0, 0].numel())
    flow = Flow(volume, threads=3)
    flow.keep_near()
    assert len(computed) == len(set(computed)) == min(room, len(near))
    kept = set(computed)
    computed.clear()
    for pair in near:
        flow.displacement(*pair)
    assert set(computed) == near - kept


def test_what_is_far_is_not_kept(computed: list) -> None:
    flow = Flow(running(5, 3))
    for _ in range(2):
        flow.position(0, 4)
        flow.position(0, 2)
    assert computed == [(0, 4), (0, 2), (0, 4)]
