"""run.json of real processes, files and checkouts."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from revseg.runs.interruption import Interrupted
from revseg.runs.lock import locked
from revseg.runs.provenance import Changes, Inputs, Provenance, changed_since, digest_of, git_state, versions


@pytest.fixture
def inputs(tmp_path):
    """A video of two frames, labels of two frames."""
    for folder, suffix in (("video", "jpg"), ("labels", "png")):
        (tmp_path / folder).mkdir()
        for frame in ("00000", "00012"):
            (tmp_path / folder / f"{frame}.{suffix}").write_text(frame)
    (tmp_path / "labels" / ".DS_Store").touch()

    def read():
        return Inputs.read(video=tmp_path / "video", labels=tmp_path / "labels")

    return read


def end(tmp_path, inputs, error, started=True):
    """A process that ends with an error, before it has begun its work or after."""
    with provenance(tmp_path, inputs) as record:
        if started:
            record.start()
        raise error


def provenance(tmp_path, inputs):
    return Provenance(tmp_path / "run.json", inputs=inputs, device="cpu", seed=3)


def document(tmp_path):
    return json.loads((tmp_path / "run.json").read_text())


def test_finished(tmp_path, inputs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Provenance(
        Path("run.json"), inputs=inputs(), device="cuda:0", seed=3, command=["revseg-train", "my video.mp4"]
    ) as record:
        record.start()
        running = document(tmp_path)
        assert (running["state"], running["ended"], running["error"]) == ("running", None, None)
    told = document(tmp_path)
    assert told["state"] == "finished"
    assert told["command"] == "revseg-train 'my video.mp4'"
    assert (told["device"], told["seed"], told["directory"], told["process"]) == ("cuda:0", 3, str(tmp_path), os.getpid())
    assert told["video"]["path"] == str(tmp_path / "video")
    assert told["labels"] == {f"{name}.png": hashlib.sha256(name.encode()).hexdigest() for name in ("00000", "00012")}
    assert datetime.fromisoformat(told["started"]).utcoffset().total_seconds() == 0
    assert told["started"] <= told["ended"]
    assert len(told["sessions"]) == 1
    assert set(told["sessions"][0]) == set(told) - {"sessions"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "run.json", "video"]


@pytest.mark.parametrize(
    ("error", "state", "sentence"),
    [
        (ValueError("frame 3\nis broken"), "failed", "frame 3 is broken"),
        (MemoryError(), "failed", "MemoryError"),
        (Interrupted(15, 3, Path("runs/x")), "interrupted", "stopped by SIGTERM after step 3; everything is saved in runs/x"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(144), "interrupted", "ended by its launcher"),
    ],
)
def test_ends_otherwise(tmp_path, error, state, sentence):
    with pytest.raises(type(error)):
        end(tmp_path, Inputs(), error)
    told = document(tmp_path)
    assert (told["state"], told["error"]) == (state, sentence)
    assert (told["video"], told["labels"]) == (None, {})
    assert told["ended"] is not None


def test_sessions(tmp_path, inputs):
    with pytest.raises(KeyboardInterrupt):
        end(tmp_path, inputs(), KeyboardInterrupt())
    assert document(tmp_path)["changed"] == []
    (tmp_path / "labels" / "00012.png").write_text("edited")
    (tmp_path / "labels" / "00020.png").write_text("new")
    (tmp_path / "labels" / "00000.png").unlink()
    (tmp_path / "video" / "00012.jpg").rename(tmp_path / "video" / "00013.jpg")
    with provenance(tmp_path, inputs()) as record:
        record.start()
    sentences = [
        "the video changed since the run last read it",
        "the label file 00012.png changed since the run last read it",
        "the label file 00020.png was added since the run last read it",
        "the label file 00000.png was removed since the run last read it",
    ]
    assert record.changes == Changes(video=True, edited=("00012.png",), added=("00020.png",), removed=("00000.png",))
    assert record.changes.sentences() == sentences
    with provenance(tmp_path, inputs()) as record:  # it has read them now
        assert not record.changes
        record.start()
    told = document(tmp_path)
    assert [one["state"] for one in told["sessions"]] == ["interrupted", "finished", "finished"]
    assert [one["changed"] for one in told["sessions"]] == [[], sentences, []]
    assert told["started"] == told["sessions"][0]["started"]
    assert told["state"] == "finished"


def test_many_changes_in_one_sentence():
    files = tuple(f"{number}.png" for number in range(7))
    assert Changes(removed=files[:2], added=files).sentences() == [
        "the label files 0.png, 1.png, 2.png, 3.png, 4.png and 2 more were added since the run last read them",
        "the label files 0.png, 1.png were removed since the run last read them",
    ]


def test_changed_since(tmp_path, inputs):
    now = inputs()
    assert not changed_since(tmp_path / "run.json", labels=now.labels, video=now.video)  # nothing to differ from
    with provenance(tmp_path, now) as record:
        record.start()
    assert not changed_since(tmp_path / "run.json", labels=now.labels, video=now.video)
    assert not changed_since(tmp_path / "run.json", labels=now.labels, video=None)  # not known
    assert changed_since(tmp_path / "run.json", labels=now.labels, video="0" * 64) == Changes(video=True)


def test_killed(tmp_path):
    program = """
import sys, time
from pathlib import Path
from revseg.runs.provenance import Inputs, Provenance
with Provenance(Path(sys.argv[1]), inputs=Inputs(), device="cpu", seed=0) as record:
    record.start()
    print(flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "run.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert document(tmp_path)["state"] == "running"
    assert document(tmp_path)["process"] == process.pid
    with provenance(tmp_path, Inputs()) as record:
        record.start()
        assert [one["state"] for one in document(tmp_path)["sessions"]] == ["interrupted", "running"]


def test_a_process_that_is_refused_is_not_recorded(tmp_path):
    """What the run is was said by the one before; and a change that was not read is told again."""
    with provenance(tmp_path, Inputs(labels={"00000.png": "a"})) as record:
        record.start()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ValueError, match="refused"):
        end(tmp_path, Inputs(labels={"00000.png": "b"}), ValueError("refused"), started=False)
    assert (tmp_path / "run.json").read_bytes() == before
    with provenance(tmp_path, Inputs(labels={"00000.png": "b"})) as record:
        assert record.changes.edited == ("00000.png",)


def test_removed_folder_does_not_come_back(tmp_path):
    def remove():
        with provenance(tmp_path / "run", Inputs()) as record:
            record.start()
            shutil.rmtree(tmp_path / "run")

    with locked(tmp_path / "run", purpose="revseg-train"):
        with pytest.raises(OSError, match=r"/run was removed, or \.lock in it, while a process worked there; start again$"):
            remove()
        assert list(tmp_path.iterdir()) == []


def test_starts_are_numbered_whatever_the_clock_says(tmp_path):
    for name, number in (("a", 1), ("b", 2), ("a", 3)):
        with provenance(tmp_path / name, Inputs()) as record:
            record.start()
        assert document(tmp_path / name)["start"] == number
    (tmp_path / "b" / "run.json").write_text("{")  # of somebody else
    with provenance(tmp_path / "c", Inputs()) as record:
        record.start()
    assert document(tmp_path / "c")["start"] == 4


@pytest.mark.parametrize("text", ["{", "[]", '{"state": "running"}'])
def test_run_json_of_something_else(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"^.*run\.json .*; remove it, or choose another run_dir=$"):
        provenance(tmp_path, Inputs()).__enter__()
    assert (tmp_path / "run.json").read_text() == text


def test_digests(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert digest_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Inputs.read(labels=tmp_path / "file").labels == {"file": digest_of(tmp_path / "file")}
    one = digest_of(tmp_path)
    (tmp_path / ".hidden").touch()
    assert digest_of(tmp_path) == one
    (tmp_path / "file").rename(tmp_path / "renamed")
    assert digest_of(tmp_path) != one


def test_missing_input(tmp_path):
    with pytest.raises(FileNotFoundError):
        Inputs.read(video=tmp_path / "missing.mp4")


def test_100_mb_in_well_under_a_second(tmp_path):
    with open(tmp_path / "video.mp4", "wb") as file:
        file.truncate(100_000_000)
    seconds = []
    for _ in range(3):  # the best of a few: other programs share the cores
        begun = time.perf_counter()
        digest_of(tmp_path / "video.mp4")
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.7


def test_versions():
    found = versions()
    assert list(found) == ["python", "revseg", "torch", "numpy", "opencv", "av", "hydra"]
    assert all(found.values())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_nothing_heavy_is_imported():
    program = (
        "import sys; from revseg.runs.provenance import versions; versions(); print(sys.modules.keys() & {'torch', 'av', 'cv2'})"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    ("module", "arguments", "expected"),
    [
        (False, ["my video.mp4", "seed=1"], "revseg-some 'my video.mp4' seed=1"),
        (True, ["seed=1"], "python -m revseg_some seed=1"),
    ],
)
def test_command_line(tmp_path, module, arguments, expected):
    """As typed, even where sys.argv is rewritten."""
    script = tmp_path / ("revseg_some.py" if module else "revseg-some")
    script.write_text("import sys\nfrom revseg.runs.provenance import command_line\nsys.argv = []\nprint(command_line())")
    start = ["-m", "revseg_some"] if module else [str(script)]
    run = subprocess.run([sys.executable, *start, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.strip().replace(Path(sys.executable).name + " ", "python ") == expected


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    run = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_state(tmp_path, monkeypatch):
    package = tmp_path / "revseg"
    package.mkdir()
    (package / "__init__.py").touch()
    assert git_state(package) is None  # no checkout
    git(tmp_path, "init", "-q")
    assert git_state(package) is None  # installed within a repository of somebody else
    git(tmp_path, "add", "revseg")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "note.txt").touch()  # changes no result
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # a hook's
    assert git_state(package) == clean
    monkeypatch.delenv("GIT_DIR")
    (package / "new.py").touch()
    assert git_state(package) == {**clean, "dirty": True}
    (package / "new.py").unlink()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").touch()
    assert git_state(package) == {**clean, "dirty": True}
    monkeypatch.setenv("PATH", "")
    assert git_state(package) is None


def test_a_volume_of_labels_is_named_whole(tmp_path: Path) -> None:
    (tmp_path / "labels.npy").write_bytes(b"labels")
    with Provenance(tmp_path / "run.json", inputs=Inputs.read(labels=tmp_path / "labels.npy"), device="cpu", seed=0) as record:
        record.start()
    (tmp_path / "labels.npy").write_bytes(b"others")
    changes = changed_since(tmp_path / "run.json", labels=Inputs.read(labels=tmp_path / "labels.npy").labels, video=None)
    assert changes.sentences() == ["the label file labels.npy changed since the run last read it"]
