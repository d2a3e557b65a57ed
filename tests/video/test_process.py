"""Decoding in a process of its own: the same frames, and one sentence whatever becomes of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.video import process
from revseg.video.read import iterate_frames, probe, read_video
from revseg.video.reading import Reading

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def noisy(tmp_path: Path, encode: Callable) -> Path:
    """More frames than are decoded ahead."""
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), dtype=np.uint8)
    return encode(tmp_path / "noisy.mp4", frames, options={"preset": "ultrafast"})


def children(parent: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def worker() -> int:
    """The only worker there is."""
    (found,) = children(process._server().process.pid)
    return found


def gone(number: int) -> bool:
    """Whether a process has ended, or does so within some seconds."""
    for _ in range(200):
        if not Path(f"/proc/{number}").exists():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("height", [None, 24])
def test_the_same_as_inline(tmp_path: Path, noisy: Path, height: int | None) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(np.full((48, 64, 3), 20 * index, np.uint8)).save(folder / f"{index}.png")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / "stack.tif")
    for path in (noisy, folder, tmp_path / "stack.tif"):
        apart, found = read_video(path, height=height), probe(path)
        inline = read_video(path, height=height, reading=Reading(decoder="inline"))
        assert torch.equal(apart.volume, inline.volume)
        assert (apart.names, apart.timestamps, apart.frame_rate) == (inline.names, inline.timestamps, inline.frame_rate)
        assert found == probe(path, reading=Reading(decoder="inline"))


def test_losses_and_their_warnings_come_over(noisy: Path, break_packet: Callable, caplog: pytest.LogCaptureFixture) -> None:
    break_packet(noisy, 13)
    lost = read_video(noisy, reading=Reading(on_error="skip")).lost
    assert "00013" in lost
    assert "left out what cannot be decoded, frame 00013" in caplog.text
    with pytest.raises(ValueError, match=f"frame {lost[0]} of .*noisy.mp4 cannot be decoded: get a whole copy"):
        read_video(noisy)


@linux
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGXCPU])
def test_a_decoder_that_crashes(noisy: Path, number: signal.Signals) -> None:
    frames = iterate_frames(noisy)
    next(frames)
    os.kill(worker(), number)
    how = "takes more than 20 s for one frame" if number == signal.SIGXCPU else f"was ended by {number.name}"
    with pytest.raises(ValueError, match=rf"noisy\.mp4 {how} after frame 0000\d: get another copy, or convert it"):
        list(frames)
    assert len(list(iterate_frames(noisy))) == 30  # the next one is not disturbed


@pytest.mark.slow
@linux
def test_a_decoder_that_hangs(noisy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATIENCE", 3.0)
    frames = iterate_frames(noisy)
    next(frames)
    os.kill(stopped := worker(), signal.SIGSTOP)
    with pytest.raises(ValueError, match=r"no frame of .*noisy\.mp4 came for 3 s after frame 0000\d: get another copy"):
        list(frames)
    assert gone(stopped)


def test_a_decoder_that_takes_too_much_memory(tmp_path: Path, encode: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "large.mkv", np.zeros((1, 2160, 3840, 3), np.uint8), "mjpeg", "yuvj420p")
    monkeypatch.setattr(process, "MEMORY", 1 << 20)
    sentence = r"decoding .*large\.mkv takes more than 0\.000977 GiB at the first frame: .*data\.decoder=inline"
    with pytest.raises(ValueError, match=sentence):
        read_video(path, threads=1)


@linux
def test_a_worker_ends_when_nobody_wants_more(noisy: Path) -> None:
    frames = iterate_frames(noisy)
    next(frames)
    number = worker()
    frames.close()
    assert gone(number)


def decoding(program: str, video: Path, *more: str) -> tuple["subprocess.Popen[str]", int]:
    """A process that decodes a video, and the number of its server, which its program prints."""
    pipe = subprocess.PIPE
    run = subprocess.Popen([sys.executable, "-c", program, str(video), *more], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert run.stdout is not None
    return run, int(run.stdout.readline())


@pytest.mark.slow
@linux
def test_all_end_with_the_process_that_decodes(noisy: Path) -> None:
    """Killed, it cannot say good-bye."""
    program = (
        "import sys; from revseg.video import process; from revseg.video.read import iterate_frames\n"
        "frames = iterate_frames(sys.argv[1]); next(frames)\n"
        "print(process._server().process.pid, flush=True); sys.stdin.read()"
    )
    run, server = decoding(program, noisy)
    (number,) = children(server)
    run.kill()
    run.communicate()
    assert gone(number)
    assert gone(server)


STOPPED_SERVER = """
import os, signal, sys
from revseg.video import process
from revseg.video.read import probe
process.PARTING = float(sys.argv[2])
probe(sys.argv[1])
server = process._server().process.pid
os.kill(server, signal.SIGSTOP)
print(server, flush=True)
"""


@contextmanager
def ending_with_a_stopped_server(video: Path, parting: float) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A process that waits for its server as it exits, so many seconds, and that does not end; and the number of the server."""
    ending, server = decoding(STOPPED_SERVER, video, str(parting))
    with ending:
        try:
            yield ending, server
        finally:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGCONT)
            ending.kill()


@pytest.mark.slow
@linux
def test_who_interrupts_the_very_end_does_not_wait(noisy: Path) -> None:
    with ending_with_a_stopped_server(noisy, 60) as (ending, server):
        with pytest.raises(subprocess.TimeoutExpired):
            ending.wait(1)
        ending.send_signal(signal.SIGINT)
        assert ending.wait(10) == 0
        assert ending.stderr is not None
        assert ending.stderr.read() == ""
    assert gone(server)


@pytest.mark.slow
@linux
def test_a_server_that_does_not_end_is_killed(noisy: Path) -> None:
    with ending_with_a_stopped_server(noisy, 0.5) as (ending, server):
        assert ending.wait(20) == 0
        assert gone(server)


def test_the_server_loads_no_pytorch() -> None:
    """It is to be there at once."""
    program = "import sys, revseg.video.worker; print([name for name in ('torch', 'cv2', 'hydra') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "change",
    [{"name": "../00000"}, {"name": ""}, {"shape": [1 << 14, 1 << 14, 3]}, {"shape": [-1, 4, 3]}, {"time": [0, 0]}, {"lost": 3}],
)
def test_what_a_worker_says_is_not_believed(tmp_path: Path, noisy: Path, change: dict) -> None:
    """A worker that was taken over could say anything."""
    decoded = process.decode_apart(noisy, Reading(), height=None, losses=process.Losses(noisy, "stop"), threads=1)
    job = decoded.frames.gi_frame.f_locals["self"]
    said = job.next

    def lie() -> dict:
        message = said()
        return {"frame": message["frame"] | change}

    job.next = lie
    with pytest.raises(ValueError, match=r"noisy\.mp4 answers what makes no sense at the first frame: get another copy"):
        list(decoded.frames)


def test_an_unknown_decoder(noisy: Path) -> None:
    with pytest.raises(ValueError, match="data.decoder is thread; choose process or inline"):
        read_video(noisy, reading=Reading(decoder="thread"))


def test_a_worker_that_has_ended_ends_nobody(noisy: Path) -> None:
    """Commands let SIGPIPE end them, for `| head`."""
    program = (
        "import signal, sys, time; from revseg.video.read import iterate_frames\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "for index, _, _ in iterate_frames(sys.argv[1]): time.sleep(0.5 if index >= 28 else 0)\n"
        "print(index)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(noisy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "29\n", "")
