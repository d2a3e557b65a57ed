"""Large tensors lie in files that nobody sees, and a run with them ends at the same bytes."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg import storage
from revseg.device import held_memory
from tests.harm import full_disk, wait_for
from tests.little import arguments, write_video

ROOT = Path(__file__).parent.parent
SIDE = 1 << 10


def files_of(folder: Path) -> list[str]:
    """What this process has mapped of a folder."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]


@pytest.fixture(autouse=True)
def _a_megabyte_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", SIDE * SIDE)


def test_a_large_tensor_lies_in_the_folder_without_a_name_and_a_small_one_in_memory(tmp_path: Path) -> None:
    with storage.kept_in(tmp_path):
        large, small = storage.zeros(2, SIDE, SIDE), storage.zeros(SIDE, SIDE - 1)
        (mapped,) = files_of(tmp_path)
        assert "(deleted)" in mapped
        assert not list(tmp_path.iterdir())
        assert not large.any()
        assert not small.any()
        large[1, 5] = 7
        assert large.sum() == 7 * SIDE
    del large, mapped
    gc.collect()
    wait_for(lambda: not files_of(tmp_path), seconds=5)


def test_other_types_lie_there_too_and_a_folder_that_is_not_yet_there_is_none(tmp_path: Path) -> None:
    with storage.kept_in(tmp_path / "not" / "yet"):
        halves = storage.zeros(SIDE, SIDE, dtype=torch.float16)
    assert len(files_of(tmp_path)) == 1
    halves += 0.5
    assert halves.dtype == torch.float16
    assert (halves == 0.5).all()


def test_rows_are_copied_only_where_some_are_left_out(tmp_path: Path) -> None:
    with storage.kept_in(tmp_path):
        tensor = torch.arange(3 * SIDE * SIDE).view(3, SIDE, SIDE).to(torch.uint8)
        assert storage.rows_of(tensor, [0, 1, 2]) is tensor
        some = storage.rows_of(tensor, [0, 2])
        assert some.equal(tensor[[0, 2]])
        assert len(files_of(tmp_path)) == 1


def test_pages_that_were_looked_at_do_not_stay_in_the_memory_of_the_process(tmp_path: Path) -> None:
    size, before = 256 << 20, held_memory()
    with storage.kept_in(tmp_path):
        large = storage.zeros(64, size // 64)
        for number, row in enumerate(large):
            row.fill_(number)
        wait_for(lambda: held_memory() - before < size / 2, seconds=20)
    assert all((row == number).all() for number, row in enumerate(large))  # all of it is still there


def test_a_disk_without_room_is_told_and_memory_serves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with storage.kept_in(tmp_path), full_disk(SIDE):
        tensor = storage.zeros(SIDE, SIDE)
    assert not tensor.any()
    assert not files_of(tmp_path)
    assert f"{tmp_path} takes no file of 0.00 GB (File too large): it is held in memory" in caplog.text


def test_without_room_in_memory_either_it_is_one_sentence(tmp_path: Path) -> None:
    with storage.kept_in(tmp_path), full_disk(SIDE), pytest.raises(OSError, match="takes no file of .* choose another folder"):
        storage.zeros(1 << 24, 1 << 24)


PROGRAM = """
import sys
from revseg import storage
from revseg.cli.main import train
storage.LARGE = int(sys.argv.pop(1))
train()
"""


@pytest.mark.slow
def test_a_run_with_everything_on_disk_ends_at_the_same_bytes(tmp_path: Path) -> None:
    """Weights and masks."""
    write_video(tmp_path)
    found = {}
    for name, large in (("memory", 1 << 30), ("disk", 1)):
        run = tmp_path / name
        command = [
            sys.executable,
            "-c",
            PROGRAM,
            str(large),
            *arguments(tmp_path, run, "training.steps=1", "placements=2", "output.formats=[masks]"),
        ]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        weights = torch.load(run / "checkpoints" / "last.pt", weights_only=True)["weights"]
        masks = [path.read_bytes() for path in sorted((run / "predictions" / "masks").iterdir())]
        found[name] = {key: value.numpy() for key, value in weights.items()}, masks
    assert found["memory"][1] == found["disk"][1]
    assert found["memory"][0].keys() == found["disk"][0].keys()
    assert all(np.array_equal(value, found["disk"][0][key]) for key, value in found["memory"][0].items())
