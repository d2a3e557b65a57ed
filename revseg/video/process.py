"""Decodes in a process of its own, which a hostile or damaged video cannot leave (``limits``), and ends with one sentence."""

from __future__ import annotations

import atexit
import base64
import binascii
import fcntl
import json
import logging
import math
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from revseg.video.decode import Decoded
from revseg.video.frame import MOST_PIXELS, Facts, Frame, Losses
from revseg.video.reading import WHOLE, Reading
from revseg.video.sound import Sound, SoundPacket
from revseg.video.worker import LONGEST_LINE, OUT_OF_MEMORY, SLOTS

MEMORY = 4 << 30
"""Bytes of address space of a process that decodes, beside its program and the frames that it shares."""
SECONDS = 20
"""Seconds that it may compute until the next frame."""
PATIENCE = 120.0
"""Seconds until the next frame in any case, whether it computes or waits for a disk."""
PARTING = 5.0
"""Seconds that the processes have to end by themselves."""
ROOM = MOST_PIXELS * 3
"""Bytes of a slot in shared memory. What is not written takes no space."""
REMEDY = "get another copy, or convert it with ffmpeg"
INLINE = "data.decoder=inline decodes it without limits"
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
"""Sends what nobody reads any more without SIGPIPE, which ends a command (`| head`)."""


def decode_apart(path: Path, reading: Reading, *, height: int | None, losses: Losses, threads: int | None) -> Decoded:
    """Opens a video in a process of its own. It ends with the iterator of frames."""
    with _job(path, losses) as job:
        job.start(reading, height, threads)
        facts = job.next()["facts"]
        frames = facts["frames"]
        count = frames if isinstance(frames, int) and frames > 0 else None
        known = Facts(_fraction(facts["frame_rate"]), count, sound=facts["sound"] is True)
    return Decoded(known, job.frames())


def sound_apart(path: Path, codecs: Sequence[str], begins: Fraction) -> Sound | None:
    """Opens the sound of a video in a process of its own (``read_sound``). It ends with the packets."""
    with _job(path, Losses(path, "stop")) as job:
        job.start(WHOLE, None, None, sound={"codecs": list(codecs), "begins": (begins.numerator, begins.denominator)})
        header = job.next()["header"]
        if header is None:
            job.close()
            return None
        return Sound(base64.b64decode(header), job.sound())


@contextmanager
def _job(path: Path, losses: Losses) -> Iterator[_Job]:
    """Yields a job to begin in a with block; where that fails, or the worker answers nonsense, the job ends."""
    job = _Job(path, losses)
    try:
        yield job
    except (KeyError, TypeError, binascii.Error) as error:
        job.close()
        raise job.nonsense() from error
    except BaseException:
        job.close()
        raise


class _Job:
    """One video that is decoded by a worker."""

    def __init__(self, path: Path, losses: Losses) -> None:
        self.path, self.losses = path, losses
        self.where = "at the first frame"
        self.channel, theirs = socket.socketpair()
        memory = _shared_memory(SLOTS * ROOM)
        try:
            self.view = mmap.mmap(memory, SLOTS * ROOM, prot=mmap.PROT_READ)
            _server().ask(theirs, memory)
        finally:
            os.close(memory)
            theirs.close()
        self.lines = self.channel.makefile("rb")

    def start(self, reading: Reading, height: int | None, threads: int | None, *, sound: dict[str, Any] | None = None) -> None:
        """Tells the worker what to do. sound: which, instead of frames."""
        paths = {"path": os.fsencode(self.path).hex(), "folder": os.fsencode(Path.cwd()).hex()}
        settings = {"height": height, "threads": threads, "on_error": self.losses.on_error, "sound": sound}
        part = {"part": [reading.start, reading.end, reading.every, reading.max_frames]}
        limits = {"shared": SLOTS * ROOM, "memory": MEMORY, "seconds": SECONDS}
        self.channel.settimeout(PATIENCE)
        self.channel.sendall(json.dumps(paths | settings | part | limits).encode() + b"\n", NO_SIGNAL)

    def frames(self) -> Generator[Frame]:
        """Yields the frames. The worker ends with it, also where not all are asked for."""
        try:
            index = 0
            while "frame" in (message := self.next()):
                frame = self._frame(message["frame"], index % SLOTS)
                self.where = f"after frame {frame.name}"
                index += 1
                yield frame
                with suppress(OSError):  # it has decoded all, and ended
                    self.channel.sendall(b"\0", NO_SIGNAL)  # the slot is free
            self._lose(message["end"]["lost"])
            total = message["end"]["total"]
            self.losses.total = total if isinstance(total, int) and total >= 0 else None
        except (KeyError, TypeError, OverflowError) as error:
            raise self.nonsense() from error
        finally:
            self.close()

    def sound(self) -> Generator[SoundPacket]:
        """Yields the packets of the sound. The worker ends with it, also where not all are asked for."""
        try:
            while "sound" in (message := self.next()):
                data, time, duration = message["sound"]
                yield SoundPacket(base64.b64decode(data), _fraction(time), _fraction(duration))
        except (KeyError, TypeError, ValueError) as error:
            if type(error) is ValueError:  # a sentence already
                raise
            raise self.nonsense() from error
        finally:
            self.close()

    def next(self) -> dict[str, Any]:
        """Returns the next message. Raises ValueError or OSError in one sentence where the worker fails."""
        while True:
            try:
                line = self.lines.readline(LONGEST_LINE)
            except TimeoutError as error:
                raise ValueError(
                    f"no frame of {self.path} came for {PATIENCE:.0f} s {self.where}: {REMEDY}; if its disk is slow, {INLINE}"
                ) from error
            except OSError:
                line = b""
            message: dict[str, Any] = self._read(line) if line else {"exit": 1}
            if "passed" in message:
                continue
            if "log" in message:
                _tell_once(int(message["log"]["level"]), str(message["log"]["text"]))
            elif "error" in message:
                raise self._error(message["error"])
            elif "exit" in message:
                raise ValueError(self._end(message["exit"]))
            else:
                return message

    def close(self) -> None:
        """Ends the worker, if it is still there."""
        self.lines.close()
        self.channel.close()

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
        except ValueError as error:
            raise self.nonsense() from error
        if not isinstance(message, dict):
            raise self.nonsense()
        return message

    def _frame(self, facts: dict[str, Any], slot: int) -> Frame:
        """Returns a frame in shared memory. Nothing that the worker says of it is believed before it is checked."""
        name, (height, width, channels) = facts["name"], facts["shape"]
        sizes = [height, width, channels, *facts["native_size"]]
        plain = isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..") and "\0" not in name
        if not plain or not all(isinstance(size, int) and 0 < size <= ROOM for size in sizes) or len(sizes) != 5:
            raise self.nonsense()
        if math.prod(sizes[:3]) > ROOM:
            raise self.nonsense()
        self._lose(facts["lost"])
        pixels = np.frombuffer(self.view, np.uint8, count=math.prod(sizes[:3]), offset=slot * ROOM)
        return Frame(
            name,
            time=_fraction(facts["time"]),
            pixels=pixels.reshape(sizes[:3]),
            native_size=(sizes[3], sizes[4]),
            sample_aspect_ratio=_fraction(facts["sample_aspect_ratio"]),
        )

    def _lose(self, names: list[str]) -> None:
        self.losses.names.extend(map(str, names))

    def _error(self, error: dict[str, Any]) -> Exception:
        return (OSError if error.get("kind") == "OSError" else ValueError)(str(error.get("text")))

    def _end(self, status: Any) -> str:
        """Returns the sentence about a worker that ended too early."""
        if status == OUT_OF_MEMORY:
            return f"decoding {self.path} takes more than {MEMORY / (1 << 30):.3g} GiB {self.where}: {REMEDY}; {INLINE}"
        if status == -signal.SIGXCPU:
            return f"decoding {self.path} takes more than {SECONDS} s for one frame {self.where}: {REMEDY}; {INLINE}"
        names = {-number: number.name for number in signal.Signals}
        how = f"was ended by {names[status]}" if status in names else "ended without a word"
        return f"the decoder of {self.path} {how} {self.where}: {REMEDY}"

    def nonsense(self) -> ValueError:
        return ValueError(f"the decoder of {self.path} answers what makes no sense {self.where}: {REMEDY}")


class _Server:
    """The process that starts workers."""

    def __init__(self) -> None:
        self.owner, self._lock = os.getpid(), threading.Lock()
        self._control, theirs = socket.socketpair()
        program = (
            f"import socket, sys; sys.path[:] = {sys.path!r}\n"
            f"from revseg.video.worker import serve; serve(socket.socket(fileno={theirs.fileno()}))"
        )
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "4"}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
            )

    @property
    def works(self) -> bool:
        """Whether it can be asked: it is there, and this process, no copy of it, started it."""
        return self.owner == os.getpid() and self.process.poll() is None

    def ask(self, channel: socket.socket, memory: int) -> None:
        """Lets it start a worker."""
        with self._lock:
            socket.send_fds(self._control, [b"video"], [channel.fileno(), memory], NO_SIGNAL)

    def close(self) -> None:
        """Ends it and its workers, by force where it does not end by itself; what reads from a disk that is gone stays. Who
        presses Ctrl-C meanwhile, at the end of all, does not wait for that."""
        self._control.close()
        if self.owner == os.getpid():
            with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                try:
                    self.process.wait(PARTING)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait(PARTING)


_running: _Server | None = None
_starting = threading.Lock()


def _server() -> _Server:
    """Returns the server of this process; starts it where there is none."""
    global _running
    with _starting:
        if _running is None or not _running.works:
            _running = _Server()
            atexit.register(_running.close)
        return _running


def _shared_memory(size: int) -> int:
    """Returns an open file in memory whose size the worker cannot change: a smaller one would end who reads it."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            os.truncate(file.fileno(), size)
            return os.dup(file.fileno())
    memory = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.truncate(memory, size)
    except OSError as error:  # a limit on the size of files counts for memory as well (ulimit -f)
        os.close(memory)
        raise OSError(f"there is no shared memory to decode into ({error.strerror}): {INLINE}") from error
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory


@lru_cache(maxsize=256)
def _tell_once(level: int, text: str) -> None:
    """Passes a line of a worker to the log, once in a process: a video is decoded several times."""
    logging.getLogger("revseg.video").log(level, "%s", text)


def _fraction(pair: tuple[int, int]) -> Fraction:
    """Returns the number that a worker tells as numerator and denominator."""
    numerator, denominator = pair
    if not isinstance(numerator, int) or not isinstance(denominator, int) or denominator < 1:
        raise TypeError("no fraction")
    return Fraction(numerator, denominator)
