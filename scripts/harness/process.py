"""A process for each case: its own peak memory, its own log, and a failure that ends no other.

    reply = run(function, *arguments, log=path)                one piece of work: function(*arguments) returns a dict
    worker = Worker(make, *arguments, log=path)                make(*arguments) returns an object, which lives in the process
    reply = worker.ask("name", *more)                          its method name(*more) returns a dict

A reply {"error": sentence} says what went wrong; the process has ended then.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from harness import ROOT

Reply = dict[str, Any]
OUT_OF_MEMORY = "out of memory"

# What a server imports once, before it forks the processes: each then starts in milliseconds. None of these starts a thread or
# touches a GPU when imported; those that are not installed are passed over. A process forked after CUDA has been touched cannot
# use it, so for CUDA only torch, which leaves it alone, is imported beforehand.
PRELOADED = {"cpu": ["torch", "torch.utils.flop_counter", "cv2", "monai.networks.nets", "hydra"], "cuda": ["torch"]}


class Worker:
    """Handle of one process."""

    def __init__(self, make: Callable[..., object], *given: Any, log: Path, device: str = "", patience: float | None = None):
        """patience: seconds after which a process that does not answer is ended; None: for ever."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED[device or ("cuda" if torch.cuda.is_available() else "cpu")])
        self.log, self.patience = log, patience
        self.result: Reply = {}
        """All replies together."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self.connection, theirs = context.Pipe()
        # No daemon: a training may start processes of its own. It ends when this end of the pipe is closed.
        self.process = context.Process(target=_serve, args=(theirs, make, given, log))
        self.process.start()
        theirs.close()

    @property
    def failed(self) -> bool:
        return "error" in self.result

    def ask(self, method: str, *given: Any) -> Reply:
        """Sends an order and waits for its reply."""
        with suppress(BrokenPipeError, ConnectionResetError):  # wait() says why
            self.connection.send((method, given))
        return self.wait()

    def wait(self) -> Reply:
        """Returns the next reply; the first one, before any order, says that the process is ready."""
        reply: Reply = {"error": f"took longer than {self.patience or 0:.0f} s"}
        try:
            if self.connection.poll(self.patience):
                reply = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(10)
            reply = {"error": self._reason()}
        self.result |= reply
        if self.failed:
            self.close()
        return reply

    def close(self) -> None:
        """Lets the process end, or ends it."""
        self.connection.close()
        self.process.join(0 if self.failed else 10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def _reason(self) -> str:
        code = self.process.exitcode
        if code == -9:  # by the system, for want of memory
            return OUT_OF_MEMORY
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        last = next((line for line in reversed(lines) if line.strip()), f"the process ended with code {code}")
        return f"{last} (see {self.log})"


def run(function: Callable[..., Reply], *given: Any, log: Path, device: str = "") -> Reply:
    """Returns what function(*given) returns in a process of its own, or {"error": ...}."""
    worker = Worker(partial, function, log=log, device=device)
    if not worker.wait().get("error"):
        worker.ask("__call__", *given)
    worker.close()
    return worker.result


def run_all(script: str, function: Callable[..., Reply], cases: Mapping[str, Any], device: str) -> Iterator[tuple[str, Reply]]:
    """Runs case after case; yields name and reply. Ends the script where one fails."""
    for number, (name, given) in enumerate(cases.items()):
        reply = run(function, *given, device, log=ROOT / "runs" / script / f"{number}.txt", device=device)
        if "error" in reply:
            sys.exit(f"{script}: {name}: {reply['error']}")
        yield name, reply


def _serve(connection: Connection, make: Callable[..., object], given: tuple[Any, ...], log: Path) -> None:
    """The process's main: answers orders until the connection closes."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)  # what revseg tells
    try:
        held = make(*given)
        connection.send({})
        while True:
            method, more = connection.recv()
            connection.send(getattr(held, method)(*more))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except ImportError as error:
        connection.send({"error": f"not installed ({error.name})"})
    except (torch.OutOfMemoryError, MemoryError):
        connection.send({"error": OUT_OF_MEMORY})
    except (RuntimeError, ValueError, ArithmeticError, OSError) as error:
        traceback.print_exc()
        sentence = (str(error).splitlines() or [""])[0][:300]
        lacking = "can't allocate memory" in sentence
        connection.send({"error": OUT_OF_MEMORY if lacking else f"{type(error).__name__}: {sentence} (see {log})"})
    sys.stderr.flush()
