"""What does not fit is refused in a sentence before anything large is read; what a full disk cannot keep is not kept."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from harness.settings import compose

from revseg.forecast.fits import check_memory, most, smallest, without_cache_on_a_small_disk
from revseg.forecast.outline import Outline
from revseg.labels.dataset import evenly_spaced
from revseg.parallel.config import ParallelConfig
from revseg.video.memory import Footage
from tests.test_device import limited

CPU = torch.device("cpu")
LONG = Outline(Footage(3000, (480, 854)), evenly_spaced(3000, 5), known=5, classes=2)
MEGABYTE = 1 << 20


@pytest.mark.parametrize("limit", [1, 2, 7, 8, 1000])
def test_most(limit: int) -> None:
    for largest in range(min(limit, 40) + 1):
        assert most(lambda count, largest=largest: count <= largest, limit) == largest
    assert most(lambda count: True, limit) == limit


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="sizes are read from Linux's /proc")
def test_a_run_that_does_not_fit_is_refused_with_a_number_of_frames_that_does() -> None:
    config = compose([])
    with limited(600 * MEGABYTE):
        with pytest.raises(
            ValueError, match=r"3000 frames of 854 x 480 need .* GB of memory while .* but .* may be used"
        ) as error:
            check_memory(config, LONG, CPU)
        frames = int(re.search(r"data\.max_frames=(\d+) or less", str(error.value))[1])
        assert 10 < frames < 3000
        check_memory(config, LONG.with_frames(frames - 5), CPU)
        with pytest.raises(ValueError, match=r"data\.max_frames"):
            check_memory(config, LONG.with_frames(frames + 20), CPU)
    check_memory(config, LONG.with_frames(20), CPU)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="sizes are read from Linux's /proc")
def test_each_setting_that_is_told_to_help_does() -> None:
    config = compose([])
    longer = Outline(Footage(60_000, (480, 854)), evenly_spaced(60_000, 600), known=600, classes=2)
    with limited(2400 * MEGABYTE):
        with pytest.raises(ValueError, match=r"while training") as error:
            check_memory(config, longer, CPU)
        told = dict(re.findall(r"([a-z_.]+)=(\d+)", str(error.value).partition("; set ")[2]))
        assert list(told) == ["data.height", "data.max_frames", "parallel.volume", "data.window"]
    with limited(2500 * MEGABYTE):  # this process has grown meanwhile
        for key in ("data.height", "data.window"):
            check_memory(compose([f"{key}={told[key]}"]), longer, CPU)
        shards = replace(config, parallel=ParallelConfig(int(told["parallel.volume"])))
        check_memory(shards, longer, CPU)


def test_a_cache_too_large_for_the_disk_is_switched_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = compose([])
    found = smallest(config, LONG.with_frames(10), CPU, held=0)
    assert without_cache_on_a_small_disk(config, found, tmp_path) is config
    huge = replace(found, disk=found.disk | {"evidence": 10**18})
    with caplog.at_level(logging.WARNING, "revseg"):
        assert not without_cache_on_a_small_disk(config, huge, tmp_path).evidence.cache
    assert "evidence.cache=false" in caplog.text


def test_a_disk_without_room_for_the_masks_is_refused(tmp_path: Path) -> None:
    config = compose([])
    found = smallest(config, LONG.with_frames(10), CPU, held=0)
    huge = replace(found, disk=found.disk | {"results": 10**18})
    with pytest.raises(OSError, match=r"GB of free disk, but frames, masks, overlay and checkpoints take .* run_dir="):
        without_cache_on_a_small_disk(config, huge, tmp_path)
