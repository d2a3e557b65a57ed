"""Processes as a launcher starts them, on a port of their own; each with its own files for what it prints."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PATIENCE = 90.0
"""Seconds after which processes that do not end are killed, and the test fails."""


@dataclass
class Started:
    """The processes of a group."""

    processes: list[BaseProcess]
    folder: Path

    def kill(self, rank: int, signum: int) -> None:
        pid = self.processes[rank].pid
        assert pid is not None
        os.kill(pid, signum)

    def statuses(self) -> list[int | None]:
        """Waits for all; returns their exit statuses."""
        end = time.monotonic() + PATIENCE
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
        hanging = [process for process in self.processes if process.is_alive()]
        for process in hanging:
            process.kill()
            process.join()
        assert not hanging, f"{len(hanging)} processes hang: {self.told()}"
        return [process.exitcode for process in self.processes]

    def told(self) -> list[str]:
        """Returns what each wrote to stderr."""
        return [(self.folder / f"stderr.{rank}").read_text() for rank in range(len(self.processes))]

    def await_file(self, name: str) -> None:
        """Waits until a process writes a file."""
        end = time.monotonic() + PATIENCE
        while not (self.folder / name).exists():
            assert time.monotonic() < end, self.told()
            assert any(process.is_alive() for process in self.processes), self.told()
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def start(folder: Path, world: int, work: Callable[..., Any], *given: Any, **environment: str) -> Started:
    """Starts work(rank, folder, *given) in each process; world 1: in one that no launcher started."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORCH_CPP_LOG_LEVEL"] = "FATAL"  # as the command line sets it; the server takes it over
    context = multiprocessing.get_context("forkserver")
    # Imported once: the processes are forked from a server that has it all.
    context.set_forkserver_preload(["revseg.train", "revseg.predict", "revseg.cli.main", "tests.little"])
    processes = []
    common = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    for rank in range(world):
        own = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank), **environment} if world > 1 else dict(environment)
        process = context.Process(target=_work, args=(rank, folder, own, work, given))
        process.start()
        processes.append(process)
    return Started(processes, folder)


def _work(rank: int, folder: Path, environment: dict[str, str], work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    import torch

    os.setsid()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        opened = os.open(folder / f"{name}.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(opened, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", buffering=1, closefd=False) for descriptor in (1, 2))  # noqa: SIM115
    torch.set_num_threads(1)
    work(rank, folder, *given)


def command_line(rank: int, folder: Path, *arguments: str) -> None:
    """revseg-train, as it is typed."""
    from revseg.cli.main import train

    sys.argv = ["revseg-train", *arguments]
    train()
