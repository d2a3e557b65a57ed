"""Measurements side by side: a process each, timed passes interleaved: what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.case import Case
from benchmark.measurement import Process


@dataclass(frozen=True)
class Setting:
    """Where and how patiently is measured."""

    device: str
    threads: int
    patience: float = 300.0


@dataclass(frozen=True)
class Group:
    """Cases that are compared with each other.

    repeats: timed passes of each; 0 measures peak memory only
    """

    name: str
    cases: tuple[Case, ...]
    repeats: int


def run(group: Group, setting: Setting) -> dict[str, Any]:
    """{"cases": one record per case, "repeats", "wall_seconds"}."""
    start = time.perf_counter()
    processes = [Process(case, setting.device, setting.threads, setting.patience) for case in group.cases]
    for process in processes:
        process.result |= process.wait()
    for process in processes:  # one after the other: together they might not fit
        if not process.failed:
            process.result |= process.ask("peak")
            if not group.repeats:
                process.close()
    running = [process for process in processes if not process.failed]
    order = "time alone" if setting.device == "cuda" and not _fit_together(running) else "time"
    for _ in range(group.repeats):
        _one_round(running, order)
    for process in processes:
        process.close()
    return {
        "cases": [process.case.record() | process.result for process in processes],
        "repeats": group.repeats,
        "wall_seconds": time.perf_counter() - start,
    }


def _one_round(processes: Sequence[Process], order: str) -> None:
    for process in processes:
        if not process.failed:
            reply = process.ask(order)
            if "seconds" in reply:
                process.result.setdefault("seconds", []).append(reply["seconds"])


def _fit_together(processes: Sequence[Process]) -> bool:
    """Whether all may keep the memory that they have reserved between their passes."""
    total = torch.cuda.mem_get_info()[1]
    return sum(process.result["reserved"] for process in processes) < 0.6 * total
