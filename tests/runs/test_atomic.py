"""Whole or not at all, on real file systems that refuse."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from revseg.runs.atomic import make_folder, replacing, sync_folder
from revseg.runs.lock import locked
from tests.runs.power_cut import PowerCut


def test_replaces(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            assert temporary.parent == path.parent  # a rename within one file system
            temporary.write_text(text)
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["file.txt"]


def test_failure_keeps_the_old(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("removed", ["before", "meanwhile"])
def test_a_folder_of_a_run_that_was_removed_does_not_come_back(tmp_path, removed):
    run = tmp_path / "run"

    def write():
        if removed == "before":
            shutil.rmtree(run)
        with replacing(run / "new" / "file") as temporary:
            shutil.rmtree(run)
            temporary.write_text("text")

    with locked(run, purpose="revseg-train"):
        with pytest.raises(OSError, match=rf"^cannot write {run}/new/file: {run} was removed, or \.lock in it,"):
            write()
        assert not run.exists()


def test_a_power_cut_leaves_the_old_or_the_new_and_never_less_than_was_promised(tmp_path, monkeypatch):
    path, promised, moments = tmp_path / "new" / "run" / "file.txt", [None], []

    def moment(left):
        moments.append(left.get("new/run/file.txt"))
        assert moments[-1] in promised[-1:] + [text]
        assert len(left) <= 2

    disk = PowerCut(monkeypatch, tmp_path, moment)
    for text in (b"first", b"second", b"third"):
        with replacing(path) as temporary:
            temporary.write_bytes(text)
        assert disk.left() == {"new/run/file.txt": text}
        promised.append(text)
    assert set(moments) == {None, b"first", b"second", b"third"}


def test_folders_stay_when_the_power_is_cut(tmp_path, monkeypatch):
    disk = PowerCut(monkeypatch, tmp_path)
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").touch()
    sync_folder(tmp_path / "a" / "b")
    assert disk.left() == {"a/b/file": b""}


def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch):
    """Some file systems of networks sync no folders; a disk that fails is told of."""

    def refuse(file):
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(os, "fsync", refuse)
    answer = errno.EINVAL
    sync_folder(tmp_path)
    answer = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_longest_name(tmp_path):
    with replacing(tmp_path / ("n" * 255)) as temporary:
        temporary.touch()


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match=r"^cannot write .*mask\.png: its folder is a file; free space there or choose"),
        replacing(tmp_path / "file" / "mask.png"),
    ):
        pass


def test_sentence_of_a_block_stays(tmp_path):
    with pytest.raises(OSError, match="^cannot write that$"), replacing(tmp_path / "file"):
        raise OSError("cannot write that")


FULL_DISK = """
import resource, sys
import numpy as np
from revseg.labels.masks import write_mask
from revseg.video.write import VideoWriter

pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))

def write_video(path):
    with VideoWriter(path) as writer:
        for _ in range(40):
            writer.write(pixels)

for write in (lambda path: write_mask(path, pixels[..., 0]), write_video):
    try:
        write(sys.argv[1])
    except OSError as error:
        print(error)
"""


def test_full_disk(tmp_path):
    """A limit on the size of files, which the system enforces as it does the size of a disk."""
    path = tmp_path / "name with = and ,.out"
    run = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    sentence = f"cannot write {path}: File too large; free space there or choose another output folder"
    assert run.stdout.splitlines() == [sentence, sentence]
    assert os.listdir(tmp_path) == []


WITHOUT_THREADS = """
import resource, sys
from pathlib import Path
import av, numpy as np
from revseg.cli.sentences import sentence
from revseg.runs.atomic import writing
path = Path(sys.argv[1])
frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + (4 << 20),) * 2)
try:
    with writing(path), av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", options={"threads": "8"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(frame))
except OSError as error:
    print(error.strerror)
    print(sentence(error, []))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="sizes are read from Linux's /proc")
def test_an_encoder_without_memory_for_its_threads_is_no_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "overlay.mp4"
    done = subprocess.run([sys.executable, "-c", WITHOUT_THREADS, path], capture_output=True, text=True, check=True)
    reasons = "Resource temporarily unavailable|Cannot allocate memory"
    assert re.match(f"cannot write {re.escape(str(path))}: ({reasons})", done.stdout), done.stdout
    assert done.stdout.splitlines()[1].startswith("out of memory: ")
