"""Files that only look like those of torch.save: nothing runs, nothing grows, no error but a sentence."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from revseg import RevSegNet
from revseg.training.archive import Archive
from revseg.training.checkpoint import Checkpoint, load, save
from tests.training.checkpoints import SETTINGS, checkpoint_of, content_of, saved


def test_content_comes_back(tmp_path: Path) -> None:
    content = {
        "text": "ä",
        "numbers": [1, -1, 2**40, 1.5, True, None],
        "tuple": (1, (2, 3)),
        "tensors": {dtype: torch.ones(2, 3).to(getattr(torch, dtype)) for dtype in ("float32", "bfloat16", "int16", "bool")},
        "scalar": torch.tensor(2.0),
        "empty": torch.empty(0, 3),
        "part": torch.arange(10)[4:7],
    }
    with Archive(saved(content, tmp_path / "file.pt")) as archive:
        outline = archive.outline()
        assert {name: value for name, value in outline.items() if name in ("text", "numbers", "tuple")} == {
            "text": "ä",
            "numbers": [1, -1, 2**40, 1.5, True, None],
            "tuple": (1, (2, 3)),
        }
        for name, tensor in content["tensors"].items():
            assert torch.equal(archive.tensor(outline["tensors"][name]), tensor)
        for name in ("scalar", "empty", "part"):
            assert torch.equal(archive.tensor(outline[name]), content[name])


def loaded_or_refused(path: Path) -> Checkpoint | None:
    """The checkpoint; None where it was refused in the right words."""
    refusal = ""
    try:
        return load(path)
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith(f"{path} is not a revseg checkpoint")
    return None


def test_any_bit_that_flips_is_found_or_changes_nothing(tmp_path: Path) -> None:
    net = RevSegNet(**SETTINGS)
    path = tmp_path / "last.pt"
    save(checkpoint_of(net), path)
    whole, right, chosen = path.read_bytes(), net.state_dict(), random.Random(0)
    refused = 0
    for _ in range(300):
        content, place = bytearray(whole), chosen.randrange(len(whole))
        content[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(content)
        loaded = loaded_or_refused(path)
        refused += loaded is None
        if loaded is not None:
            assert all(torch.equal(loaded.weights[name], right[name]) for name in right)
            assert (loaded.step, loaded.seconds, loaded.height) == (7, 1.5, 96)
    assert refused > 50  # much of so small a file is padding


def test_truncated_or_patched_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save(checkpoint_of(RevSegNet(**SETTINGS)), path)
    whole, chosen = path.read_bytes(), random.Random(1)
    for _ in range(100):
        start = chosen.randrange(len(whole))
        end = min(len(whole), start + chosen.choice((1, 8, 300)))
        patch = chosen.randbytes(end - start) if chosen.random() < 0.5 else b""
        path.write_bytes(whole[:start] + patch + whole[end:])
        loaded_or_refused(path)


def entries_of(path: Path) -> dict[str, bytes]:
    """The entries of an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(entries: dict[str, bytes], path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def pickled(content: bytes, folder: Path) -> Path:
    """A checkpoint with another pickle."""
    content_of(folder / "right.pt")
    return zipped(entries_of(folder / "right.pt") | {"archive/data.pkl": content}, folder / "last.pt")


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match=r"last\.pt is not a revseg checkpoint") as refusal:
        load(path)
    return str(refusal.value)


def test_archives_that_inflate(tmp_path: Path) -> None:
    content_of(tmp_path / "right.pt")
    entries = entries_of(tmp_path / "right.pt") | {"archive/data/0": bytes(100 << 20)}
    path = zipped(entries, tmp_path / "last.pt", zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert "is compressed, which revseg-train does not do" in refused(path)


class Runs:
    def __init__(self, function: object, *given: object) -> None:
        self.function, self.given = function, given

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.given


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_that_run_something(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for call in (Runs(os.mkdir, str(mark)), Runs(bytearray, 10**13), Runs(eval, "1"), Runs(torch.zeros, 10**13)):
        refused(pickled(pickle.dumps(call, protocol), tmp_path))
    assert not mark.exists()


def tensor(entry: bytes, count: int, size: int, stride: int = 1) -> bytes:
    """The pickle of a dict with one tensor, whose sizes are said to be these."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX" + struct.pack("<I", len(entry)) + entry + b"X\x03\0\0\0cpuJ"
    reference = storage + struct.pack("<i", count) + b"tQ"
    numbers = b"K\0J" + struct.pack("<i", size) + b"\x85J" + struct.pack("<i", stride) + b"\x85\x89N"
    return b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n(" + reference + numbers + b"tRs."


NAMED_OFTEN = b"\x80\x02]q\0" + b"".join(b"](" + 10 * (b"h" + bytes([n])) + b"eq" + bytes([n + 1]) for n in range(9)) + b"."
"""A list of ten times a list of ten times ...: a billion, in 300 bytes."""


@pytest.mark.parametrize(
    ("pickle_of_it", "sentence"),
    [
        (tensor(b"0", 2**31 - 1, 2), "is said to hold 2147483647 numbers"),  # would be read beyond its end
        (tensor(b"0", 6, 2**31 - 1), "is too small for"),
        (tensor(b"0", 6, 2**31 - 1, 0), "do not lie one after the other"),
        (tensor(b"0", 6, -1), "of no size"),
        (tensor(b"../data.pkl", 6, 2), "is not a revseg checkpoint"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "numbers its objects wrongly"),  # a table of 2^31 places
        (b"\x80\x02]q\0h\0a.", "hold each other"),
        (NAMED_OFTEN, "hold each other"),
        (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "hold each other"),
        (b"\x80\x02cos\nsystem\n.", "holds a os.system"),
        (b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\0\0\0itemsK\x01sb.", "is not a revseg checkpoint"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "is not a revseg checkpoint"),
        (b"", "is not a revseg checkpoint"),
        (b"\x80\x02}", "is not a revseg checkpoint"),
        (b".", "is not a revseg checkpoint"),
    ],
)  # fmt: skip
def test_pickles_that_lie(pickle_of_it: bytes, sentence: str, tmp_path: Path) -> None:
    assert sentence in refused(pickled(pickle_of_it, tmp_path))


def test_one_storage_for_many_tensors_takes_no_more_than_the_file(tmp_path: Path) -> None:
    content = content_of(tmp_path / "right.pt")
    large = torch.zeros(1 << 18)
    content["optimizer"]["parts"] = [{index: large[:] for index in range(1000)}]
    assert "tensors would take 1,04" in refused(saved(content, tmp_path / "last.pt"))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match=f"{path} is not a file"):
            load(path)


def test_memory_stays_small_whatever_the_settings_claim(tmp_path: Path) -> None:
    content = content_of(tmp_path / "right.pt")
    content["network"] |= {"channels": 65536, "rank": 65536, "levels": 16, "depth": 65536, "kernel_size": 255}
    code = (
        "import resource, sys; from pathlib import Path; from revseg.training.checkpoint import load\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load(Path(sys.argv[1]))\n"
        "except ValueError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, saved(content, tmp_path / "last.pt")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 50_000  # kilobytes
