"""One measurement in a process of its own, and its handle in the process that compares.

The process builds the model, warms up on a tiny volume (libraries load, kernels compile, gradients get their
memory), and then does what it is asked: ``peak``, the first pass over the real volume with its peak memory,
or ``time``, one timed pass.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from benchmark import memory, roofline
from benchmark.case import Case
from benchmark.peers import CLASSES, PEERS, WARM_SIZE, Model

# What a server imports once, before it forks the processes: each then starts in milliseconds. None of these starts
# a thread when imported; those that are not installed are passed over. A process forked after CUDA has been
# touched cannot use it, so on CUDA only torch, which leaves it alone, is imported beforehand.
PRELOADED = {
    "cpu": ["torch", "torch.utils.flop_counter", "iunets", "memcnn", "monai.networks.nets"],
    "cuda": ["torch"],
}

Reply = dict[str, Any]


class Measurement:
    """The model of a case and its data, inside the process."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        self.model: Model = PEERS[case.peer].build(case, device)
        warm = Case(case.peer, WARM_SIZE, case.depth, case.task, case.channels, case.rank)
        self._run(*self._data(warm), warm.labelled_frames)
        self.volume: Tensor | None = None
        self.labels: Tensor | None = None
        self.cold = True

    def facts(self) -> Reply:
        return {
            "flops": self.model.forward_flops(self.case.size),
            "weights": sum(p.numel() * p.element_size() for p in self.model.parameters()),
        }

    def peak(self) -> Reply:
        """The first pass; the input volume counts as part of its memory."""
        before = memory.baseline(self.device)
        self.volume, self.labels = self._data(self.case)
        start = time.perf_counter()
        loss = self._pass()
        reply: Reply = before.peak() | {
            "first_seconds": time.perf_counter() - start,
            "input": self.volume.nbytes,
        }
        self._release()
        return reply | {"loss": loss}

    def seconds(self, alone: bool) -> Reply:
        """One timed pass. alone: hand the device's memory back afterwards, for the others to use."""
        if self.cold:
            self._pass()  # fills the allocator's cache
        start = time.perf_counter()
        self._pass()
        reply = {"seconds": time.perf_counter() - start}
        self.cold = self.device.type == "cuda" and alone
        if alone:
            self._release()
        return reply

    def _pass(self) -> float | None:
        assert self.volume is not None
        assert self.labels is not None
        loss = self._run(self.volume, self.labels, self.case.labelled_frames)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return loss

    def _run(self, volume: Tensor, labels: Tensor, frames: list[int]) -> float | None:
        if self.case.task == "infer":
            self.model.infer(volume)
            return None
        loss = self.model.step(volume, labels, frames)
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()  # kept: weights and their gradients are the baseline
        return float(loss)

    def _release(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _data(self, case: Case) -> tuple[Tensor, Tensor]:
        """Noise: a video (1, 3, T, H, W) uint8 and labels (1, L, H, W)."""
        generator = torch.Generator(self.device).manual_seed(1)

        def noise(levels: int, shape: tuple[int, ...]) -> Tensor:
            return torch.randint(0, levels, shape, dtype=torch.uint8, device=self.device, generator=generator)

        labels = noise(CLASSES, (1, len(case.labelled_frames), *case.size[1:]))
        return noise(256, (1, 3, *case.size)), labels


def serve(connection: Connection, case: Case, device_name: str, threads: int) -> None:
    """The process's main: answer orders until the connection closes."""
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    try:
        measurement = roofline.BlockMeasurement(case, device) if case.task == "block" else Measurement(case, device)
        connection.send(measurement.facts())
        while (order := connection.recv()) != "stop":
            connection.send(measurement.peak() if order == "peak" else measurement.seconds(order == "time alone"))
    except ImportError as error:
        connection.send({"error": f"not installed ({error.name})"})
    except torch.OutOfMemoryError:
        connection.send({"error": "out of memory"})
    except (RuntimeError, ValueError, ArithmeticError) as error:
        short = str(error).splitlines()[0][:150]
        connection.send({"error": "out of memory" if "can't allocate memory" in short else f"{type(error).__name__}: {short}"})


class Process:
    """Handle of one measurement."""

    def __init__(self, case: Case, device: str, threads: int, patience: float) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED[device])
        self.case, self.patience = case, patience
        self.result: Reply = {}
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, case, device, threads), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def failed(self) -> bool:
        return "error" in self.result

    def wait(self) -> Reply:
        """The next reply. A process that takes longer than ``patience`` seconds is ended."""
        reply = {"error": f"took longer than {self.patience:.0f} s"}
        try:
            if self.connection.poll(self.patience):
                reply = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join(10)
            reply = {"error": f"the process ended with code {self.process.exitcode}"}  # -9: killed for memory
        if "error" in reply:
            self.process.kill()
            self.result["error"] = reply["error"]
        return reply

    def ask(self, order: str) -> Reply:
        try:
            self.connection.send(order)
        except (BrokenPipeError, ConnectionResetError):
            self.result["error"] = "the process ended"
            return {"error": self.result["error"]}
        return self.wait()

    def close(self) -> None:
        if self.process.is_alive() and not self.failed:
            self.connection.send("stop")
            self.process.join(10)
        self.process.kill()
        self.connection.close()
