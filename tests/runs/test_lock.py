"""Real second processes, one of them killed."""

import errno
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime

import pytest

from revseg.runs.lock import check_not_removed, holds, locked

pytestmark = pytest.mark.slow

HOLDER = """
import multiprocessing, os, sys, time
from pathlib import Path
from revseg.runs.lock import locked

def work():
    print(os.getpid(), flush=True)  # by now it has closed what it must not keep
    time.sleep(60)

with locked(Path(sys.argv[1]), purpose="revseg-train"):
    worker = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    worker.start()
    sys.stdin.readline()
print("left", flush=True)
"""
IN_USE = r"{} is in use by process {} \(revseg-train, since \d\d:\d\d:\d\d\); wait for it, or choose another run_dir="


@pytest.fixture
def holder(tmp_path):
    """A second process that holds the lock of a folder, and its forked worker."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        yield process, worker
        process.kill()
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)  # nobody else ends the worker of a killed process


def enter(folder):
    with locked(folder, purpose="second"):
        pass


def test_in_use(tmp_path, holder):
    process, _ = holder
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match="^" + IN_USE.format(folder, process.pid) + "$"):
        enter(folder)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "left\n"
    enter(folder)
    assert (folder / ".lock").read_bytes() == b""  # says that nobody holds it


def test_killed_holder_frees_it(tmp_path, holder):
    process, worker = holder
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.kill(worker, 0)  # still there: it has inherited the open files, but not this one
    assert b"revseg-train" in (tmp_path / "run" / ".lock").read_bytes()
    enter(tmp_path / "run")


def test_twice_in_one_process(tmp_path):
    with locked(tmp_path, purpose="revseg-train"):
        assert holds(tmp_path)
        assert holds(tmp_path / "x" / "..")
        with pytest.raises(ValueError, match=IN_USE.format(tmp_path, os.getpid())):
            enter(tmp_path)
    assert not holds(tmp_path)
    enter(tmp_path)


def test_freed_by_an_exception(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path, purpose="revseg-train"):
        raise KeyboardInterrupt
    enter(tmp_path)


def test_another_day_another_machine_or_nothing_written(tmp_path, monkeypatch):
    with locked(tmp_path, purpose="revseg-train"):
        text = (tmp_path / ".lock").read_text()
        today = datetime.now().date().isoformat()
        (tmp_path / ".lock").write_text(text.replace(today, "2020-02-03").replace('"host": "', '"host": "far-'))
        with pytest.raises(ValueError, match=r"process \d+ on far-.* \(revseg-train, since 2020-02-03 \d\d:\d\d:\d\d\);"):
            enter(tmp_path)
        (tmp_path / ".lock").write_text("")
        with pytest.raises(ValueError, match="is in use by another process; wait"):
            enter(tmp_path)


def test_removed_between_opening_and_locking(tmp_path, monkeypatch):
    """The holder removes an unused folder just before it frees the lock."""
    flock, removed = fcntl.flock, []

    def remove_and_lock(file, operation):
        if not removed:
            removed.append((tmp_path / "run" / ".lock").unlink())
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    with locked(tmp_path / "run", purpose="revseg-train"):
        assert (tmp_path / "run" / ".lock").exists()
        with pytest.raises(ValueError, match="in use"):
            enter(tmp_path / "run")


def test_the_setting_that_chooses_the_folder_is_named(tmp_path, holder):
    with pytest.raises(ValueError, match="; wait for it, or choose another output=$"), locked(tmp_path / "run", "x", "output"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="choose another folder with output=$"), locked(tmp_path / "file" / "x", "x", "output"):
        pass


def test_a_folder_that_was_removed_meanwhile(tmp_path):
    with locked(tmp_path / "run", purpose="revseg-train"):
        check_not_removed(tmp_path / "run" / "predictions" / "masks")
        check_not_removed(tmp_path / "other")
        shutil.rmtree(tmp_path / "run")
        check_not_removed(tmp_path / "other")
        with pytest.raises(OSError, match=rf"^cannot write {tmp_path}/run/a: {tmp_path}/run was removed"):
            check_not_removed(tmp_path / "run" / "a")
        (tmp_path / "run").mkdir()  # somebody else's
        with pytest.raises(OSError, match="was removed"):
            check_not_removed(tmp_path / "run" / "a")


def test_file_system_without_locks(tmp_path, monkeypatch, caplog):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING, logger="revseg"), locked(tmp_path, purpose="revseg-train"):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        f"the file system of {tmp_path} has no locks: take care that no second process uses this folder"
    ]


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"^cannot write .*/file: File exists; choose another folder with run_dir=$"):
        enter(tmp_path / "file")
