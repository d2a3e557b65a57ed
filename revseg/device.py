"""The device to compute on, its free memory and the memory that was taken."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

from revseg.container import cores_in_container, free_in_container

THREADS_BESIDE = 8
"""Threads that a run starts beside those that compute: decoding ahead, gradients, writing, those of the encoder, TensorBoard."""
UNLIMITED_STACK = 2 << 20
"""What glibc gives a thread where stacks have no limit."""


def choose_device(name: str) -> torch.device:
    """Returns the device of this name; auto: the GPU if there is one, else the CPU. PyTorch then has no more threads than a
    container may use cores."""
    _use_granted_cores()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or number and not number.isdigit():
        raise ValueError(f"device is {name}; choose auto, cpu, cuda or cuda:1, cuda:2, ...")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {name}, but torch sees {torch.cuda.device_count()} GPUs; choose auto or cpu")
    return torch.device(name)


def free_threads(device: torch.device) -> int:
    """Returns how many threads compute on a device and may become fewer: 1 where OMP_NUM_THREADS says how many, or on a GPU."""
    return 1 if device.type != "cpu" or _threads_are_chosen() else torch.get_num_threads()


def _threads_are_chosen() -> bool:
    """Whether OMP_NUM_THREADS says how many threads compute: then nothing else does."""
    return "OMP_NUM_THREADS" in os.environ


def _use_granted_cores() -> None:
    """By itself PyTorch counts the cores of the machine."""
    granted = cores_in_container()
    if granted is not None and not _threads_are_chosen():
        torch.set_num_threads(min(torch.get_num_threads(), max(1, int(granted))))


def free_memory(device: torch.device) -> int:
    """Bytes that a run may still take: what is free on the GPU, or what system, container and limits of the process leave."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # reserved by PyTorch, and used first
        return torch.cuda.mem_get_info(device)[0] + unused
    free = [_available(), free_in_container(), _limits_leave()]
    return min(number for number in free if number is not None)


def _available() -> int:
    """Bytes that the operating system can give without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits_leave() -> int | None:
    """Bytes that limits of this process leave, of its address space (`ulimit -v`) and of its data (`ulimit -d`); None without.

    Both count stacks of threads whole, of which hardly a page is written to: those that a run is about to start are set aside.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    pages = statm.read_text().split()
    limits = (
        (resource.getrlimit(kind)[0], int(pages[place])) for kind, place in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5))
    )
    stacks = stacks_of_run()
    left = [max(0, limit - used * resource.getpagesize() - stacks) for limit, used in limits if limit != resource.RLIM_INFINITY]
    return min(left, default=None)


def stacks_of_run() -> int:
    """Bytes of the stacks of the threads that a run starts."""
    size = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return (torch.get_num_threads() + THREADS_BESIDE) * (UNLIMITED_STACK if size == resource.RLIM_INFINITY else size)


def held_memory() -> int:
    """Bytes of memory that this process has now; where the system does not tell, the most that it had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return peak_memory(torch.device("cpu"))


def peak_memory(device: torch.device) -> int:
    """Peak bytes that were taken: on the device where it is a GPU, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
