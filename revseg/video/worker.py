"""The processes that decode: a server that has loaded what it takes, and that forks a worker with limits for each video.

``process`` starts the server with a socket. Each message asks for one video and carries two files: the worker's end of a channel,
and memory that is shared with who asked. The worker reads its job from the channel, a line of JSON, and answers in lines:

    {"facts": {...}}        first
    {"frame": {...}}        a frame lies in the shared memory; a byte comes back when it has been taken
    {"passed": {}}          frames before the part are read
    {"header": text}        instead of facts and frames, where sound was asked for: what the codec is; null: there is none
    {"sound": [...]}        a packet of it: its bytes, time and duration
    {"log": {...}}          a line for the log
    {"end": {...}}          all is decoded
    {"error": {...}}        a sentence, and the end
    {"exit": status}        from the server: how the worker ended

Imports no PyTorch: a server is there in a fraction of a second.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import mmap
import os
import select
import signal
import socket
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import av.subtitles.stream  # noqa: F401  # PyAV loads it with the first file, when a worker may have no memory for it
import numpy as np
from PIL import Image

from revseg.video.decode import decode, prepare
from revseg.video.frame import Frame, Losses
from revseg.video.limits import address_space, allow_seconds, die_with_parent, limit
from revseg.video.part import Part
from revseg.video.sound import read_sound

SLOTS = 4
"""Frames that are decoded ahead."""
OUT_OF_MEMORY = 12
"""Exit status of a worker without memory, which has none left to say so."""
EVERY = 0.5
"""Seconds after which a worker on its way to a part says that it goes on."""
LONGEST_LINE = 1 << 20
"""Bytes of a line that are read."""


def serve(control: socket.socket) -> None:
    """Starts a worker for each message until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked decides: it closes the socket
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    Image.preinit()
    gc.freeze()
    events = select.poll()
    events.register(control, select.POLLIN)
    events.register(woken, select.POLLIN)
    workers: dict[int, socket.socket] = {}  # the server's end of each channel, by the number of the worker
    while True:
        for number, _ in events.poll():
            if number == control.fileno():
                message, files, _, _ = socket.recv_fds(control, 16, 2)
                if not message:
                    for worker in workers:
                        os.kill(worker, signal.SIGKILL)
                    return
                channel = socket.socket(fileno=files[0])
                parent, worker = os.getpid(), os.fork()
                if not worker:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for each in (control, *workers.values()):
                        each.close()
                    work(channel, files[1], parent)
                os.close(files[1])
                workers[worker] = channel
                events.register(channel, 0)  # tells only that the other side is gone
            elif number == woken:
                os.read(woken, 512)
            else:
                events.unregister(number)
                for worker, channel in workers.items():
                    if channel.fileno() == number:
                        os.kill(worker, signal.SIGKILL)
        _bury(workers, events)


def _bury(workers: dict[int, socket.socket], events: select.poll) -> None:
    """Tells who asked how its worker ended."""
    while workers:
        worker, status = os.waitpid(-1, os.WNOHANG)
        if not worker:
            return
        with workers.pop(worker) as channel:
            with suppress(KeyError):
                events.unregister(channel)
            with suppress(OSError):
                channel.send(_line(exit=os.waitstatus_to_exitcode(status)), socket.MSG_DONTWAIT)


def work(channel: socket.socket, memory: int, parent: int) -> NoReturn:
    """Decodes one video and ends the process."""
    status = 1
    try:
        die_with_parent(parent)
        with suppress(BrokenPipeError, ConnectionResetError):  # nobody waits for it any more
            Worker(channel, memory).run()
            status = 0
    except MemoryError:
        status = OUT_OF_MEMORY
    finally:
        os._exit(status)


class Worker(logging.Handler):
    """Decodes one video into shared memory. A handler of log records, which go to who asked."""

    def __init__(self, channel: socket.socket, memory: int) -> None:
        super().__init__()
        self.channel, self.answers = channel, channel.makefile("rb")
        job = json.loads(self.answers.readline(LONGEST_LINE))
        os.chdir(os.fsdecode(bytes.fromhex(job["folder"])))
        self.path, self.height, self.threads = Path(os.fsdecode(bytes.fromhex(job["path"]))), job["height"], job["threads"]
        *limits, most = job["part"]
        self.part = Part.of(*limits, most=most)
        self.sound = job["sound"]
        self.losses = Losses(self.path, job["on_error"])
        self.shared = mmap.mmap(memory, job["shared"])
        self.memory, self.seconds = job["memory"], job["seconds"]
        self.given = self.lost = 0
        self.told = time.monotonic()

    def run(self) -> None:
        """Decodes under limits; every error becomes a line."""
        logging.getLogger().handlers[:] = [self]
        prepare(self.path)
        try:
            limit(self.memory + address_space())
            allow_seconds(self.seconds)
            if self.sound is not None:
                self.give_sound(self.sound["codecs"], Fraction(*self.sound["begins"]))
                return
            given = {"height": self.height, "losses": self.losses, "threads": self.threads}
            decoded = decode(self.path, self.part, **given, passed=self.passed)
            facts = decoded.facts
            self.say(facts={"frame_rate": _pair(facts.frame_rate), "frames": facts.frames, "sound": facts.sound})
            for frame in decoded.frames:
                self.give(frame)
                allow_seconds(self.seconds)
            self.say(end={"lost": self.newly_lost(), "total": self.losses.total})
        except BlockingIOError as error:  # no memory for a thread of FFmpeg
            raise MemoryError from error
        except (ValueError, OSError) as error:
            self.say(error={"kind": "OSError" if isinstance(error, OSError) else "ValueError", "text": str(error)})

    def passed(self) -> None:
        """A frame before the part was read: says now and then that it goes on."""
        if (now := time.monotonic()) - self.told >= EVERY:
            self.told = now
            allow_seconds(self.seconds)
            self.say(passed={})

    def give(self, frame: Frame) -> None:
        """Puts a frame into the next slot of the shared memory; waits until it is free."""
        if self.given >= SLOTS and not self.answers.read(1):
            raise BrokenPipeError
        room = len(self.shared) // SLOTS
        place = np.frombuffer(self.shared, np.uint8, count=frame.pixels.size, offset=self.given % SLOTS * room)
        np.copyto(place.reshape(frame.pixels.shape), frame.pixels)
        self.given += 1
        self.say(
            frame={
                "name": frame.name,
                "time": _pair(frame.time),
                "shape": frame.pixels.shape,
                "native_size": frame.native_size,
                "sample_aspect_ratio": _pair(frame.sample_aspect_ratio),
                "lost": self.newly_lost(),
            }
        )

    def give_sound(self, codecs: list[str], begins: Fraction) -> None:
        """Tells what the codec of the sound is, and its packets."""
        sound = read_sound(self.path, codecs, begins)
        self.say(header=None if sound is None else _text(sound.header))
        for packet in () if sound is None else sound.packets:
            self.say(sound=[_text(packet.data), _pair(packet.time), _pair(packet.duration)])
            allow_seconds(self.seconds)
        self.say(end={})

    def newly_lost(self) -> list[str]:
        """Returns the names of lost frames that were not told yet."""
        new = self.losses.names[self.lost :]
        self.lost += len(new)
        return new

    def emit(self, record: logging.LogRecord) -> None:
        self.say(log={"level": record.levelno, "name": record.name, "text": record.getMessage()})

    def say(self, **message: Any) -> None:
        """Sends a line."""
        self.channel.sendall(_line(**message))


def _line(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _pair(number: Fraction) -> tuple[int, int]:
    return number.numerator, number.denominator
