"""What was computed once comes back by its content, and nothing else does."""

import itertools
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.evidence.cache import EvidenceCache, digest
from revseg.evidence.config import EvidenceConfig, SmoothingConfig
from tests.harm import full_disk, kill_when

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_a_key_is_that_of_the_content() -> None:
    tensor = torch.from_numpy(ARRAY)
    assert digest(tensor, 1, "a") == digest(tensor.clone(), 1, "a") == digest(ARRAY, 1, "a")
    assert digest(tensor.transpose(0, 1)) == digest(tensor.transpose(0, 1).contiguous())
    assert digest(EvidenceConfig()) == digest(EvidenceConfig(smoothing=SmoothingConfig(hops=[1, 2])))


def test_another_content_has_another_key() -> None:
    config, other = EvidenceConfig(), ARRAY.copy()
    other[1, 2, 3] += 1
    parts = [
        (ARRAY,),
        (other,),
        (ARRAY.reshape(3, 2, 4),),
        (ARRAY.view(np.int8),),
        (ARRAY, None),
        ("1",),
        (1,),
        (1.0,),
        ("ab", "c"),
        ("a", "bc"),
        ((1, 2), 3),
        (1, (2, 3)),
        (config,),
        (replace(config, smoothing=SmoothingConfig(sweeps=4)),),
    ]
    assert len({digest(*part) for part in parts}) == len(parts)


def test_what_is_kept_comes_back_and_numpy_reads_it(tmp_path: Path) -> None:
    cache = EvidenceCache(tmp_path / "evidence")
    assert cache.get("motion", "00ff") is None
    cache.put("motion", "00ff", ARRAY[:, 1:])
    cache.finish()
    for one in (cache, EvidenceCache(tmp_path / "evidence")):
        found = one.get("motion", "00ff")
        assert found is not None
        assert np.array_equal(found, ARRAY[:, 1:])
        assert one.get("motion", "00fe") is None
        assert one.get("gap", "00ff") is None
    assert [path.name for path in (tmp_path / "evidence").iterdir()] == ["motion-00ff.npz"]
    assert np.array_equal(np.load(tmp_path / "evidence" / "motion-00ff.npz")["motion"], ARRAY[:, 1:])


def test_what_is_being_written_is_waited_for(tmp_path: Path) -> None:
    cache, noise = EvidenceCache(tmp_path), np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8)
    for number in range(3):
        cache.put("gap", str(number), noise)
    for one in (cache, EvidenceCache(tmp_path)):
        assert all(np.array_equal(one.get("gap", str(number)), noise) for number in range(3))


def test_without_a_folder_nothing_is_kept() -> None:
    cache = EvidenceCache(None)
    cache.put("motion", "0", ARRAY)
    assert cache.get("motion", "0") is None
    assert not cache.keeps
    cache.forget_unused()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_computed_again(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, path = EvidenceCache(tmp_path), tmp_path / "motion-0.npz"
    cache.put("motion", "0", np.random.default_rng(0).integers(0, 256, 10_000, dtype=np.uint8))
    cache.finish()
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes({"cut": content[:5000], "flipped": content, "empty": b"", "text": b"no archive"}[damage])
    with caplog.at_level(logging.WARNING):
        assert cache.get("motion", "0") is None
    assert "motion-0.npz cannot be read" in caplog.text
    cache.put("motion", "0", ARRAY)
    assert np.array_equal(cache.get("motion", "0"), ARRAY)


def test_what_is_not_used_is_forgotten(tmp_path: Path) -> None:
    former = EvidenceCache(tmp_path)
    for key in "abc":
        former.put("gap", key, ARRAY)
    former.finish()
    (tmp_path / ".0123.partial").write_bytes(b"half")
    (tmp_path / "mine.txt").write_text("kept")
    cache = EvidenceCache(tmp_path)
    cache.get("gap", "a")
    cache.put("gap", "d", ARRAY)
    cache.forget_unused()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gap-a.npz", "gap-d.npz", "mine.txt"]


def test_a_folder_that_cannot_be_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    cache = EvidenceCache(tmp_path / "file" / "evidence")
    with caplog.at_level(logging.WARNING):
        for key in "abc":
            cache.put("gap", key, ARRAY)
            assert cache.get("gap", key) is None
    assert len(caplog.records) == 1
    assert "evidence is not kept for later runs" in caplog.text


def test_a_full_disk_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, noise = EvidenceCache(tmp_path), np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)
    with full_disk(1000):
        cache.put("small", "0", noise[:10])
        cache.put("large", "0", noise)
        cache.put("large", "1", noise)
        cache.finish()
    assert np.array_equal(cache.get("small", "0"), noise[:10])
    assert cache.get("large", "0") is None
    assert caplog.text.count("evidence is not kept for later runs") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small-0.npz"]


def noise_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, 400_000, dtype=np.uint8)


def write_on(folder: Path) -> None:
    cache = EvidenceCache(folder)
    for number in itertools.count():
        cache.put("gap", str(number), noise_of(number))


def test_a_process_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    kill_when(lambda: len(list(tmp_path.glob("gap-*.npz"))) >= 3 and any(tmp_path.glob(".*.partial")), write_on, tmp_path)
    cache, whole = EvidenceCache(tmp_path), sorted(tmp_path.glob("gap-*.npz"))
    assert len(whole) >= 3
    for path in whole:
        number = path.stem.removeprefix("gap-")
        assert np.array_equal(cache.get("gap", number), noise_of(int(number)))
    cache.forget_unused()
    assert sorted(tmp_path.iterdir()) == whole
