"""Peak memory of a piece of work, above what was in use before it.

CPU:  the process's peak resident size (VmHWM, reset through clear_refs) above its resident size before; Linux
      only. While it is watched, malloc hands every large freed piece back at once. Left alone, glibc keeps up
      to 32 MB of each, and what is measured is then how an order of allocations fragments its heap (plain
      autograd: three times its live memory), not what a step needs.
CUDA: torch.cuda.max_memory_allocated above memory_allocated before, and max_memory_reserved likewise.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


@dataclass(frozen=True)
class Baseline:
    """What is in use before the work: imports, weights and their gradients."""

    device: torch.device
    allocated: int
    reserved: int

    def peak(self) -> dict[str, int | None]:
        """Bytes above the baseline since it was taken."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return {
                "peak": torch.cuda.max_memory_allocated(self.device) - self.allocated,
                "reserved": torch.cuda.max_memory_reserved(self.device) - self.reserved,
            }
        if not STATUS.exists():
            return {"peak": None, "reserved": None}
        peak = _resident("VmHWM") - self.allocated
        _keep_freed_memory(32 << 20)  # where glibc's own adjustment ends: what timed passes should run with
        return {"peak": peak, "reserved": None}


def baseline(device: torch.device) -> Baseline:
    """Hand back what allocators merely keep, note what is left, and start to watch for the peak."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return Baseline(device, torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device))
    if not STATUS.exists():
        return Baseline(device, 0, 0)
    _keep_freed_memory(1 << 20)
    RESET.write_text("5")  # VmHWM <- VmRSS
    return Baseline(device, _resident("VmRSS"), 0)


def _keep_freed_memory(largest: int) -> None:
    """Let glibc's malloc keep freed pieces of up to ``largest`` bytes for itself, after handing back all it has."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):
        libc.mallopt(M_MMAP_THRESHOLD, largest)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * largest)
        libc.malloc_trim(0)


def _resident(name: str) -> int:
    """Bytes of one line of /proc/self/status."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no line {name}")
