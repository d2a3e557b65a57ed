"""Peak memory and times of the cases of a group, a process each, their timed passes in turn: what disturbs one disturbs all.

A process builds the model, warms up on a tiny volume (libraries load, kernels compile, gradients get their memory), and then does
what it is asked: ``peak``, the first pass over the real volume, or ``seconds``, one timed pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from harness.memory import Footprint
from harness.process import Reply, Worker
from torch import Tensor

from speed.case import Case, Group
from speed.peers import CLASSES, PEERS, WARM_SIZE


@dataclass(frozen=True)
class Setting:
    """Where, and how patiently, is measured."""

    device: str
    threads: int
    patience: float
    """Seconds after which one pass is given up."""
    logs: Path


def run(group: Group, setting: Setting) -> Reply:
    """Returns {"cases": one record per case, "repeats", "wall_seconds"}."""
    start = time.perf_counter()
    logs = [setting.logs / group.name / f"{number}-{case.peer}.txt" for number, case in enumerate(group.cases)]
    how = {"device": setting.device, "patience": setting.patience}
    where, pairs = (setting.device, setting.threads), zip(group.cases, logs, strict=True)
    workers = [Worker(Measurement, case, *where, log=log, **how) for case, log in pairs]
    for worker in workers:
        worker.wait()
    for worker in workers:  # one after the other: together they might not fit
        if not worker.failed:
            worker.ask("peak")
            if not group.repeats:
                worker.close()
    reserved = sum(worker.result["reserved"] or 0 for worker in workers if not worker.failed)
    alone = setting.device == "cuda" and reserved > 0.6 * torch.cuda.mem_get_info()[1]  # not all may keep what they reserve
    for worker in workers * group.repeats:
        if not worker.failed and "second" in worker.ask("seconds", alone):
            worker.result.setdefault("seconds", []).append(worker.result.pop("second"))
    for worker in workers:
        worker.close()
    cases = [case.record() | worker.result for case, worker in zip(group.cases, workers, strict=True)]
    return {"cases": cases, "repeats": group.repeats, "wall_seconds": time.perf_counter() - start}


class Measurement:
    """The model of a case and its data."""

    def __init__(self, case: Case, device_name: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case, self.device = case, (device := torch.device(device_name))
        self.model = PEERS[case.peer][1](case, device)
        warm = replace(case, size=WARM_SIZE)
        self._run(*self._data(warm), warm.labelled_frames)
        self.data: tuple[Tensor, Tensor] | None = None
        self.cold = True

    def peak(self) -> Reply:
        """Measures the first pass; the input volume counts as part of its memory."""
        footprint = Footprint(self.device, live=True)
        self.data = self._data(self.case)
        start = time.perf_counter()
        loss = self._pass()
        seconds = time.perf_counter() - start
        reply: Reply = {"peak": footprint.peak(), "reserved": footprint.reserved(), "first_seconds": seconds, "loss": loss}
        self._release()
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters())
        return reply | {"input": self.data[0].nbytes, "weights": weights, "flops": self.model.forward_flops(self.case.size)}

    def seconds(self, alone: bool) -> Reply:
        """Times one pass. alone: hands the device's memory back afterwards, for the others to use."""
        if self.cold:
            self._pass()  # fills the allocator's cache
        start = time.perf_counter()
        self._pass()
        reply = {"second": time.perf_counter() - start}
        self.cold = self.device.type == "cuda" and alone
        if alone:
            self._release()
        return reply

    def _pass(self) -> float | None:
        assert self.data is not None
        loss = self._run(*self.data, self.case.labelled_frames)
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
        """Makes noise: a video (1, 3, T, H, W) uint8 and labels (1, L, H, W)."""
        generator = torch.Generator(self.device).manual_seed(1)

        def noise(levels: int, shape: tuple[int, ...]) -> Tensor:
            return torch.randint(0, levels, shape, dtype=torch.uint8, device=self.device, generator=generator)

        labels = noise(CLASSES, (1, len(case.labelled_frames), *case.size[1:]))
        return noise(256, (1, 3, *case.size)), labels
