"""Peak memory of a piece of work, above what was in use before it.

CPU:  the process's peak resident size (VmHWM, reset through clear_refs) above its resident size before; Linux only.
CUDA: torch.cuda.max_memory_allocated above memory_allocated before, and max_memory_reserved likewise.

live: what a step needs, rather than what a user has to have: malloc hands every freed piece of 64 KB or more back at once. Left
alone, glibc keeps up to 32 MB of each, and the peak tells how allocations fragment its heap (plain autograd: three times its live
memory). Where pieces of up to 1 MB stay on the heap, its fragments still move the peak of a small step by up to a tenth, from one
run of a program to the next, with the random addresses and hashes of the process.
"""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

import torch

from revseg.device import free_memory

STATUS = Path("/proc/self/status")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
LIVE, GLIBC = 1 << 16, 32 << 20  # largest freed piece that malloc keeps: none worth counting; where glibc's own adjustment ends


class Footprint:
    """Watches for the peak from its making on."""

    def __init__(self, device: torch.device, live: bool = False) -> None:
        self.device, self.live = device, live
        self.before = self.reserved_before = 0
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            self.before, self.reserved_before = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
        elif STATUS.exists():
            if live:
                _keep_freed_memory(LIVE)
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM <- VmRSS
            self.before = _size_of("VmRSS")

    def so_far(self) -> int | None:
        """Returns bytes above what was in use before, and goes on watching; None where it cannot be told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return _size_of("VmHWM") - self.before if STATUS.exists() else None

    def peak(self) -> int | None:
        """Returns bytes above what was in use before, at the end; None where it cannot be told."""
        peak = self.so_far()
        if self.live and self.device.type != "cuda" and peak is not None:
            _keep_freed_memory(GLIBC)  # what timed passes run with
        return peak

    def reserved(self) -> int | None:
        """Returns what PyTorch's allocator took from the device; None on a CPU."""
        if self.device.type != "cuda":
            return None
        return torch.cuda.max_memory_reserved(self.device) - self.reserved_before


def stay_within_free_memory(device: torch.device) -> None:
    """On the CPU: an allocation beyond what is free now fails, where else the system would end some process or other."""
    if device.type != "cpu" or not STATUS.exists():
        return
    limit = _size_of("VmData") + int(0.9 * free_memory(device))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _keep_freed_memory(largest: int) -> None:
    """Lets malloc keep freed pieces of up to `largest` bytes for itself, after it has handed back all it has."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(M_MMAP_THRESHOLD, largest)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * largest)
        libc.malloc_trim(0)


def _size_of(name: str) -> int:
    """Returns the bytes of one line of /proc/self/status."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no line {name}")
