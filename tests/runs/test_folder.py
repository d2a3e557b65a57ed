"""Folders of runs: new ones, unused ones, and what is in them."""

import json
import multiprocessing
import os
import subprocess
import sys

import pytest

from revseg.runs.folder import RunFolder, checkpoint_at, claim_new, enclosing_run, newest_checkpoint
from revseg.runs.lock import locked


def started(path):
    """The folder as a start leaves it."""
    folder = RunFolder.create(path)
    folder.hydra.mkdir()
    for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
        (folder.hydra / name).write_text("a: 1\n")
    for file in (folder.log, folder.run_json, folder.path / ".lock"):
        file.write_text("text")
    (folder.evidence / "flow").mkdir(parents=True)
    return folder


def test_layout(tmp_path):
    folder = RunFolder.create(tmp_path / "new" / "run")
    folder.write_config("seed: 1\n")
    folder.write_metrics({"J": 0.5})
    assert sorted(os.listdir(folder.path)) == ["checkpoints", "config.yaml", "metrics.json"]
    assert folder.config.read_text() == "seed: 1\n"
    paths = (folder.run_json, folder.log, folder.hydra, folder.last, folder.evidence, folder.tensorboard, folder.data)
    names = [str(path.relative_to(folder.path)) for path in paths]
    assert names == ["run.json", "train.log", ".hydra", "checkpoints/last.pt", "evidence", "tensorboard", "data"]


def test_half_written_files_go(tmp_path):
    folder = RunFolder.create(tmp_path)
    for path in (folder.path, folder.last.parent):
        (path / ".0123456789ab.partial").touch()
    folder.last.touch()
    RunFolder.create(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoints", "last.pt"]


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^cannot write .*/file/run: Not a directory; choose another folder with run_dir=$"):
        RunFolder.create(tmp_path / "file" / "run")
    with pytest.raises(OSError, match=r"^cannot write .*/file: File exists; choose another folder with run_dir=$"):
        claim_new(tmp_path / "file")


def test_unused_folder_goes(tmp_path):
    started(tmp_path / "run").remove_unused()
    with locked(tmp_path / "run", purpose="revseg-train"):
        started(tmp_path / "run").remove_unused()
    RunFolder(tmp_path / "run").remove_unused()  # is gone already
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/last.pt", ".hydra/mine.yaml", "data/video.mp4", "notes.txt"])
def test_folder_with_anything_else_stays(tmp_path, name):
    folder = started(tmp_path / "run")
    (folder.path / name).parent.mkdir(exist_ok=True)
    (folder.path / name).write_text("mine")
    folder.remove_unused()
    assert (folder.path / name).read_text() == "mine"
    assert folder.log.exists()
    assert (folder.hydra / "config.yaml").exists()


def test_what_a_link_leads_to_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").touch()
    folder = RunFolder.create(tmp_path / "run")
    folder.hydra.symlink_to(tmp_path / "mine")
    folder.remove_unused()
    assert (tmp_path / "mine" / "config.yaml").exists()
    assert folder.hydra.is_symlink()


def test_folder_of_photos_stays_as_it_was(tmp_path):
    (tmp_path / "photo.jpg").touch()
    with locked(tmp_path, purpose="revseg-train"):
        RunFolder.create(tmp_path).remove_unused()
    assert sorted(os.listdir(tmp_path)) == [".lock", "photo.jpg"]


HOLDER = """
import sys
from pathlib import Path
from revseg.runs.lock import locked
with locked(Path(sys.argv[1]), purpose="revseg-train"):
    print(flush=True)
    sys.stdin.readline()
"""


def test_folder_that_another_process_holds_stays(tmp_path):
    folder = started(tmp_path / "run")
    command = [sys.executable, "-c", HOLDER, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        folder.remove_unused()
        assert folder.log.exists()
        process.communicate("\n")
    folder.remove_unused()
    assert os.listdir(tmp_path) == []


def claim(runs, together, claimed):
    together.wait()
    for _ in range(5):
        claimed.put(claim_new(runs).path.name)


def test_many_processes_at_once_get_a_folder_each(tmp_path):
    context = multiprocessing.get_context("fork")
    together, claimed = context.Barrier(6), context.Queue()
    processes = [context.Process(target=claim, args=(tmp_path / "runs", together, claimed)) for _ in range(6)]
    for process in processes:
        process.start()
    names = [claimed.get(timeout=20) for _ in range(30)]
    for process in processes:
        process.join()
    assert len(set(names)) == 30
    assert sorted(names) == sorted(os.listdir(tmp_path / "runs"))
    assert any(name.endswith("-2") for name in names)


def test_checkpoints(tmp_path):
    with pytest.raises(ValueError, match="there is no run with a checkpoint"):
        newest_checkpoint(tmp_path)
    for age, name in enumerate(("b", "a")):
        folder = RunFolder.create(tmp_path / name)
        with pytest.raises(ValueError, match=r"is a folder without checkpoints/last\.pt"):
            checkpoint_at(folder.path)
        folder.last.touch()
        os.utime(folder.last, (age, age))
        assert checkpoint_at(folder.path) == checkpoint_at(folder.last) == folder.last
    assert newest_checkpoint(tmp_path) == tmp_path / "a" / "checkpoints" / "last.pt"


@pytest.mark.parametrize(("error", "stays"), [(KeyboardInterrupt(), True), (SystemExit(5), True), (ValueError("no"), False)])
def test_the_evidence_of_a_run_that_was_stopped_before_it_started_stays(tmp_path, error, stays):
    """By a user, or by a launcher that queues it again."""
    folder = started(tmp_path)
    folder.remove_after(type(error), error, None)
    assert folder.evidence.exists() == stays


def test_the_newest_run_is_the_one_that_started_last_whatever_the_clock_says(tmp_path):
    """The clock was years ahead, and is set back; a run without a number is older than all with one."""
    for name, start, age in (("future", 1, 2e9), ("now", 2, 1e9), ("old", None, 3e9)):
        folder = RunFolder.create(tmp_path / name)
        folder.last.touch()
        os.utime(folder.last, (age, age))
        if start is not None:
            folder.run_json.write_text(json.dumps({"start": start}))
    assert newest_checkpoint(tmp_path) == RunFolder(tmp_path / "now").last


def test_the_run_that_a_folder_lies_in(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    assert enclosing_run(folder.predictions) is None  # nothing says that it is one
    folder.write_config("seed: 1")
    (folder.path / ".lock").touch()
    assert enclosing_run(folder.predictions / "x") == folder.path
    assert enclosing_run(folder.path) is None
    assert enclosing_run(tmp_path / "other") is None
