"""Peak memory of a process above what it held before.

CUDA: torch.cuda.max_memory_allocated above memory_allocated before. CPU: peak resident size above the resident size before,
from Linux's /proc. Here malloc is left as it is: what counts is the memory that a user has to have (scripts/benchmark/memory.py
asks what a step needs, and reins malloc in).
"""

from __future__ import annotations

import resource
from pathlib import Path

import torch

from revseg.device import free_memory

STATUS = Path("/proc/self/status")


class Footprint:
    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
        elif STATUS.exists():
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM <- VmRSS
            self.before = size_of("VmRSS")

    def peak(self) -> int | None:
        """Bytes; None where it cannot be told."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return size_of("VmHWM") - self.before if STATUS.exists() else None


def name_of(device: torch.device) -> str:
    """What a table calls it."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"CPU (threads: {torch.get_num_threads()})"


def stay_within_free_memory(device: torch.device) -> None:
    """On the CPU: an allocation beyond what is free now fails, where else the system would end some process or other."""
    if device.type != "cpu" or not STATUS.exists():
        return
    limit = size_of("VmData") + int(0.9 * free_memory(device))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def size_of(name: str) -> int:
    """Bytes of one line of /proc/self/status."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no line {name}")
