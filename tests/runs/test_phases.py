"""A real terminal (a pty), real log files."""

import logging
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time

import pytest

from revseg.runs import phases
from revseg.runs.phases import NotShownAsBar, phase, recorded

pytestmark = pytest.mark.slow

PROGRAM = """
import logging, sys, time
from revseg.runs.phases import Console, NotShownAsBar, phase

level, job_log = sys.argv[1:]
console = Console(sys.stderr)
console.addFilter(NotShownAsBar())
logging.basicConfig(level=level, handlers=[console, logging.FileHandler(job_log)], format="[%(message)s]")
log = logging.getLogger("revseg.train")
with phase("optical flow", total=4, unit="flow") as bar:
    for number in range(4):
        time.sleep(0.15)
        bar.advance()
        bar.note(f"loss 0.{number}")
        if number == 1:
            with phase("inner", total=1) as inner:
                inner.advance()
            log.info("saved")
print("tqdm" in sys.modules)
"""


def in_terminal(level, job_log, rows=30, columns=100):
    """All that a process writes to a terminal."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, columns))
    command = [sys.executable, "-c", PROGRAM, level, str(job_log)]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        written = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # how Linux says that nobody has the terminal open
                break
            if not part:
                break
            written += part
        assert process.wait() == 0
    os.close(master)
    return written.decode()


LOGGED = [
    r"\[optical flow: 4 flows\]",
    r"\[inner: 1 frame\]",
    r"\[inner: 1 frame in 0\.\d s\]",
    r"\[saved\]",
    r"\[optical flow: 4 flows in 0\.\d s, loss 0\.3\]",
]


def test_bar_on_a_terminal_lines_in_the_job_log(tmp_path):
    seen = in_terminal("INFO", tmp_path / "train.log")
    assert re.search(r"optical flow:  50%\|.*\| 2/4 \[00:00<00:00, .* flow/s, loss 0\.0\]", seen), seen  # with what is left
    assert re.search(r"\roptical flow: 100%\|█+\| 4/4 .*, loss 0\.3\]", seen), seen
    assert "flows in" not in seen  # told once, as a bar
    assert re.search(r"\r\[saved\]\r\n", seen), seen  # a line of its own, not behind a bar
    assert seen.endswith("\r\nTrue\r\n")
    content = (tmp_path / "train.log").read_bytes().decode()
    assert "\r" not in content
    assert re.fullmatch("\n".join(LOGGED) + "\n", content), content


def test_bar_on_a_terminal_without_a_size(tmp_path):
    assert re.search(r"\roptical flow: 100%\|█+\| 4/4 ", in_terminal("INFO", tmp_path / "train.log", rows=0, columns=0))


def test_quiet_on_a_terminal(tmp_path):
    assert in_terminal("WARNING", tmp_path / "train.log") == "False\r\n"
    assert (tmp_path / "train.log").read_text() == ""


def test_lines_in_a_file(tmp_path):
    command = [sys.executable, "-c", PROGRAM, "INFO", str(tmp_path / "train.log")]
    with open(tmp_path / "stderr", "wb") as stderr:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, check=True)
    assert run.stdout == b"False\n"  # no tqdm without a bar
    content = (tmp_path / "stderr").read_bytes().decode()
    assert "\r" not in content
    assert re.fullmatch("\n".join(LOGGED) + "\n", content), content
    assert content == (tmp_path / "train.log").read_text()


@pytest.fixture
def lines(caplog):
    """What is logged, seconds replaced."""
    with caplog.at_level(logging.INFO, logger="revseg"):
        yield lambda: [re.sub(r"\d+\.\d s", "T s", record.getMessage()) for record in caplog.records]


def test_now_and_then(lines, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(phases.time, "perf_counter", lambda: clock[0])
    with phase("training", total=60, unit="step", start=30) as bar:
        for step in range(30, 60):
            clock[0] += 4
            bar.note(f"loss\r0.{step}\n")
            bar.advance()
    assert lines()[:3] == [
        "training: 30 of 60 steps",
        "training: 33 of 60 steps, 12 s, 108 s left, loss 0.32",
        "training: 36 of 60 steps, 24 s, 96 s left, loss 0.35",
    ]
    assert lines()[-1] == "training: 60 steps in T s, loss 0.59"


def test_without_total(lines, monkeypatch):
    monkeypatch.setattr(phases, "EVERY", 0.0)
    with phase("decoding") as bar:
        bar.advance(count=1)
        bar.advance(count=2)
    with phase("thinking"):
        pass
    assert lines() == [
        "decoding",
        "decoding: 1 frame, 0 s",
        "decoding: 3 frames, 0 s",
        "decoding: 3 frames in T s",
        "thinking",
        "thinking: T s",
    ]


def test_phase_that_raises(lines):
    def fail():
        with phase("motion", total=5) as bar:
            bar.advance(count=2)
            raise ZeroDivisionError

    with recorded() as record, pytest.raises(ZeroDivisionError):
        fail()
    assert lines() == ["motion: 5 frames", "motion: stopped at 2 of 5 frames after T s"]
    assert list(record.seconds) == ["motion"]
    with recorded() as record, phase("next"):  # is not inside the one that raised
        time.sleep(0.01)
    assert record.seconds["next"] >= 0.01


def test_console_filter(caplog):
    shown = logging.makeLogRecord({"bar": False})
    assert NotShownAsBar().filter(shown)
    assert NotShownAsBar().filter(logging.makeLogRecord({}))
    assert not NotShownAsBar().filter(logging.makeLogRecord({"bar": True}))


def test_seconds_are_summed_and_not_counted_twice(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(phases.time, "perf_counter", lambda: clock[0])

    def spend(seconds):
        clock[0] += seconds

    with recorded() as outer:
        with phase("training"):
            spend(1)
            with recorded() as inner, phase("evaluating"):
                spend(10)
                with phase("writing"):
                    spend(100)
            spend(2)
        with phase("evaluating"):
            spend(1000)
    with phase("writing"):  # recorded by nobody
        spend(1)
    assert outer.seconds == {"writing": 100, "evaluating": 1010, "training": 3}
    assert inner.seconds == {"writing": 100, "evaluating": 10}


def test_generator_that_ends_after_its_reader():
    def frames():
        with phase("smoothing"):
            yield 1
            yield 2

    with recorded() as record:
        with phase("segmenting"):
            reader = frames()
            next(reader)
        with phase("writing"):
            reader.close()
        with phase("after"):
            pass
    assert set(record.seconds) == {"smoothing", "segmenting", "writing", "after"}
    assert all(seconds >= 0 for seconds in record.seconds.values())


def test_several_threads():
    def work(bar):
        for _ in range(2000):
            bar.advance()
        with phase("inside a thread"):
            time.sleep(0.01)

    with recorded() as record, phase("optical flow", total=8000, unit="flow") as bar:
        threads = [threading.Thread(target=work, args=(bar,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bar.done == 8000
    assert record.seconds["inside a thread"] >= 0.04
    assert record.seconds["optical flow"] > 0  # what other threads do meanwhile is not taken from it
