"""Rounds of training: each a process of revseg-train on the labels that are drawn by then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 60
"""Seconds that a training has to save itself when the page ends."""
LAST_LINES = 20


@dataclass
class Round:
    """What is known of a training, for the page."""

    state: str = "idle"
    """idle, training, stopping, done, failed"""
    phase: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    losses: list[float] = field(default_factory=list)
    J: float | None = None
    """What it is on the pixels that are trained on."""
    seconds: float = 0.0
    sentence: str = ""
    """Why it failed."""


class Rounds:
    """Starts and stops trainings, one at a time. words: of revseg-train."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.round = Round()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether a training is under way."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts a training. Raises ValueError where one is under way."""
        with self._lock:
            if self.running or self.round.state in ("training", "stopping"):
                raise ValueError("a training is under way: wait for its end, or stop it")
            read, write = os.pipe()
            line = [sys.executable, "-m", "revseg.page.worker", str(write), *self.words]
            # A session of its own: Ctrl-C reaches the page, which lets the training save itself.
            self._process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[write],
                start_new_session=True,
            )
            os.close(write)
            self.round = Round("training", phase="starting")
            threading.Thread(target=self._watch, args=(self._process, read, self.round), daemon=True).start()

    def stop(self) -> None:
        """Lets the training save itself and end; it goes on from there with the next start."""
        with self._lock:
            if self.running and self._process is not None:
                self.round.state = "stopping"
                self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Stops the training and waits until it has saved itself."""
        self.stop()
        if self._process is not None:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _watch(self, process: subprocess.Popen[bytes], channel: int, round: Round) -> None:
        started, said = time.monotonic(), list[str]()

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                said[:] = [*said, line.decode(errors="replace").strip()][-LAST_LINES:]

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        with open(channel, encoding="utf-8") as lines:
            for line in lines:
                self._note(round, json.loads(line))
                round.seconds = time.monotonic() - started
        status = process.wait()
        listener.join()
        round.seconds = time.monotonic() - started
        round.phase, round.done, round.total = "", 0, None
        if status == 0:
            round.state = "done"
        elif round.state == "stopping":
            round.state = "idle"
        else:
            last = next((line for line in reversed(said) if line), f"the training ended with status {status}")
            round.state, round.sentence = "failed", last.removeprefix("revseg: ")

    @staticmethod
    def _note(round: Round, line: dict[str, Any]) -> None:
        round.phase, round.done, round.total, round.unit = line["phase"], line["done"], line["total"], line["unit"]
        if "loss" in line:
            round.losses.append(line["loss"])
            round.J = line["J"]
