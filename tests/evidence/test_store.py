"""Flow that is needed again comes from disk, the same bits, and no room for it is no error."""

import gc
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from revseg.evidence import store as module
from revseg.evidence.cache import EvidenceCache
from revseg.evidence.carry import carry
from revseg.evidence.motion import motion
from revseg.evidence.smoothing import Given, Smoothing
from revseg.evidence.store import HEADER, FlowRecords, FlowStore
from tests.evidence.made import EVIDENCE, carried, flow_of, moving, running, same
from tests.harm import full_disk, kill_when

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 6, 8


def displacement(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (2, HEIGHT, WIDTH), dtype=np.int16)


def test_what_is_kept_comes_back_from_any_thread(tmp_path: Path) -> None:
    store, pairs = FlowStore(tmp_path, keep=False).open("", HEIGHT, WIDTH), [(t, t + 1) for t in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pair: store.put(pair, displacement(pair[0])), pairs))
        found = list(pool.map(store.get, pairs))
    assert all(np.array_equal(one, displacement(pair[0])) for one, pair in zip(found, pairs, strict=True))
    assert store.get((1, 0)) is None


def test_the_file_has_no_name_and_ends_with_the_store(tmp_path: Path) -> None:
    store = FlowStore(tmp_path, keep=False).open("", HEIGHT, WIDTH)
    store.put((0, 1), displacement(0))
    assert not list(tmp_path.iterdir())
    number = store._file.fileno()
    del store
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_it_keeps_to_its_share_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 3 * (displacement(0).nbytes + HEADER.size) + 1)
    store = FlowStore(tmp_path, keep=False).open("", HEIGHT, WIDTH)
    for number in range(5):
        store.put((number, number + 1), displacement(number))
    assert [store.get((number, number + 1)) is not None for number in range(5)] == [True, True, True, False, False]


def test_a_full_disk_is_said_once_and_flow_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, record = FlowStore(tmp_path, keep=False).open("", HEIGHT, WIDTH), displacement(0).nbytes + HEADER.size
    with full_disk(5 * record // 2):
        for number in range(6):
            store.put((number, number + 1), displacement(number))
    kept = [store.get((number, number + 1)) for number in range(6)]
    assert [found is not None for found in kept] == [True, True, False, False, False, False]
    assert caplog.text.count("flow that is needed again is computed again from here on: File too large") == 1


@pytest.mark.parametrize("room", [0, 1 << 30])
def test_the_same_bits_with_room_and_without(room: int, computed: list, monkeypatch: pytest.MonkeyPatch) -> None:
    video, shares = moving((0, 8))[0], (0.25, 0.5)
    expected = carried(video, 2, shares)
    monkeypatch.setattr(module, "LARGEST_BYTES", room)
    computed.clear()
    found = carried(video, 2, shares)
    assert same(found, expected)
    near = [pair for pair in computed if abs(pair[0] - pair[1]) == 1]
    assert (len(near) > len(set(near))) == (room == 0)


def test_carrying_motion_and_smoothing_compute_each_flow_once(computed: list) -> None:
    video = moving((0, 8))[0]
    flow = flow_of(video.volume)
    carry(video, 2, flow=flow, config=EVIDENCE, cache=EvidenceCache(None))
    assert {(t, n) for t in range(9) for n in range(9) if abs(t - n) == 1} <= set(computed)
    assert not any(abs(t - n) == 2 for t, n in computed)  # composed
    computed.clear()
    motion(flow, config=EVIDENCE.motion, cache=EvidenceCache(None))
    frames = [Given(np.full((2, *flow.identity.shape[1:]), 0.5, np.float32), 0.5)] * video.frames
    list(Smoothing(flow, EVIDENCE.smoothing)(frames))
    assert not computed


@pytest.mark.parametrize("room", [0, 5, 100])
def test_near_flow_is_computed_before_it_is_needed_as_far_as_there_is_room(
    room: int, computed: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = running(7, 1)
    near = {(t, n) for t in range(7) for n in range(7) if abs(t - n) == 1}
    monkeypatch.setattr(module, "LARGEST_BYTES", room * (4 * volume[0, 0].numel() + HEADER.size))
    flow = flow_of(volume, threads=3)
    flow.keep_near({1, 2})
    assert len(computed) == len(set(computed)) == min(room, len(near))
    kept = set(computed)
    computed.clear()
    for pair in near:
        flow.displacement(*pair)
    assert set(computed) == near - kept


def test_what_is_far_is_not_kept(computed: list) -> None:
    flow = flow_of(running(5, 3))
    for _ in range(2):
        flow.way(0, 4, again=False)
        flow.position(0, 2)
    assert computed == [(0, 4), (0, 1), (1, 2), (0, 4)]  # that of two apart is composed, and kept


def named(folder: Path, key: str = "k") -> FlowRecords:
    return FlowStore(folder).open(key, HEIGHT, WIDTH)


def test_a_named_file_is_opened_again(tmp_path: Path) -> None:
    first = named(tmp_path / "evidence")
    for number in range(5):
        first.put((number, number + 1), displacement(number))
    del first
    gc.collect()
    again = named(tmp_path / "evidence")
    for number in range(5):
        assert (number, number + 1) in again
        assert np.array_equal(again.get((number, number + 1)), displacement(number))
    again.put((7, 8), displacement(7))
    assert np.array_equal(again.get((7, 8)), displacement(7))
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == ["flow-k.bin"]
    assert (3, 4) not in named(tmp_path / "evidence", "other")


def test_what_another_process_has_open_is_left_alone(tmp_path: Path) -> None:
    first, second = named(tmp_path), named(tmp_path)
    second.put((0, 1), displacement(1))
    assert first.get((0, 1)) is None
    first.put((0, 1), displacement(0))
    assert np.array_equal(second.get((0, 1)), displacement(1))
    del second, first
    gc.collect()
    assert np.array_equal(named(tmp_path).get((0, 1)), displacement(0))


@pytest.mark.parametrize("damage", ["record", "header", "cut"])
def test_damaged_records_are_computed_again(damage: str, tmp_path: Path) -> None:
    records = named(tmp_path)
    for number in range(3):
        records.put((number, number + 1), displacement(number))
    del records
    gc.collect()
    path, stride = tmp_path / "flow-k.bin", displacement(0).nbytes + HEADER.size
    content = bytearray(path.read_bytes())
    content[{"record": stride + 5, "header": 2 * stride - 1, "cut": 0}[damage]] ^= damage != "cut"
    path.write_bytes(content[: 2 * stride - 7] if damage == "cut" else content)
    again = named(tmp_path)
    assert np.array_equal(again.get((0, 1)), displacement(0))
    assert again.get((1, 2)) is None
    again.put((1, 2), displacement(9))
    assert np.array_equal(again.get((1, 2)), displacement(9))


def test_room_counts_what_former_processes_have_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 3 * (displacement(0).nbytes + HEADER.size))
    records = named(tmp_path)
    for number in range(2):
        records.put((number, number + 1), displacement(number))
    del records
    gc.collect()
    again = named(tmp_path)
    assert again.room == 1
    again.put((1, 2), displacement(1))  # it is there
    assert again.room == 1


def large(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(-99, 99, (2, 300, 400), dtype=np.int16)


def write_on(folder: Path) -> None:
    records = FlowStore(folder).open("k", 300, 400)
    for number in itertools.count():
        records.put((number, number + 1), large(number))


def test_a_process_that_is_killed_leaves_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "flow-k.bin"
    kill_when(lambda: path.exists() and path.stat().st_size > 3_000_000, write_on, tmp_path)
    records, kept = FlowStore(tmp_path).open("k", 300, 400), 0
    for number in range(path.stat().st_size // 480_000 + 1):
        if (found := records.get((number, number + 1))) is not None:
            kept += 1
            assert np.array_equal(found, large(number))
    assert kept >= 5


def test_a_folder_that_cannot_be_means_an_unnamed_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    records = named(tmp_path / "file" / "evidence")
    records.put((0, 1), displacement(0))
    assert np.array_equal(records.get((0, 1)), displacement(0))


def test_what_is_not_used_is_forgotten(tmp_path: Path) -> None:
    for key in "abc":
        named(tmp_path, key)
    store = FlowStore(tmp_path)
    store.open("a", HEIGHT, WIDTH)
    store.use("b")
    store.forget_unused()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flow-a.bin", "flow-b.bin"]
