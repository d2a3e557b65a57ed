"""Whole or not at all, on real file systems that refuse."""

import os
import shutil
import subprocess
import sys

import pytest

from revseg.runs.atomic import replacing
from revseg.runs.lock import locked


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
