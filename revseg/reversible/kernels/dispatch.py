"""Whether a device runs the fused kernels, and whether a kernel may be trusted there.

The first time a device meets a new combination of shapes and dtypes, its kernels are compiled and compared with PyTorch on a
small field. If they do not compile or do not agree, that combination stays on PyTorch and cuDNN for the whole
process, and a warning says so. The decision is made before the first step that could use it, so no state
is ever made by one path and undone by the other.
"""

from __future__ import annotations

import importlib.util
import subprocess
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from revseg.reversible.grid import Grid
from revseg.reversible.kernels import switch
from revseg.reversible.kernels.compiler import compiler

CONTAINERS = {torch.float32, torch.int32, torch.int16}
ADJOINTS = {torch.float32, torch.float16, torch.bfloat16}
LARGEST_RANK = 64
# The Haar kernels copy a group of frames first: small enough for the copy to stay in a large L2 cache, large
# enough for the work to take longer than its launch.
HAAR_GROUP_BYTES = 32 << 20


@cache
def available(device: torch.device) -> bool:
    """Whether Triton can compile for ``device``: CUDA, compute capability 8.0 or more (bfloat16 products)."""
    if device.type != "cuda" or torch.version.hip is not None or importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0) and _can_compile(device)


@cache
def _can_compile(device: torch.device) -> bool:
    """Whether there is a compiler; warns once of what it costs where there is none."""
    if compiler() is None:
        warnings.warn(
            f"there is no C compiler (gcc, clang, or CC), so Triton cannot build the fused kernels for {device}: PyTorch "
            "computes instead, several times slower and with larger temporaries; install gcc",
            stacklevel=2,
        )
        return False
    return True


def expected() -> bool:
    """Whether a GPU will run the kernels, as far as this machine tells: one without a GPU plans for another machine."""
    return switch.on() and (compiler() is not None or not torch.cuda.is_available())


def usable_for_haar(field: Tensor, grid: Grid) -> bool:
    """Whether a change of level runs through the kernel; ``field`` (T, H, W, C) state or adjoint, fine."""
    supported = switch.on() and field.dtype in CONTAINERS | ADJOINTS and available(field.device)
    return supported and _haar_agrees(field.device, channels=field.shape[-1], dtype=field.dtype, exact=grid.exact)


def coarsen_group_(fine: Tensor, coarse: Tensor, halve_time: bool, exact: bool) -> None:
    """Coarsens a group of frames by one level, into the same memory; call only where ``usable_for_haar``."""
    from revseg.reversible.kernels.haar import coarsen_group_

    coarsen_group_(fine, coarse, halve_time=halve_time, exact=exact)


def refine_group_(coarse: Tensor, fine: Tensor, halve_time: bool, exact: bool) -> None:
    """Inverts ``coarsen_group_``."""
    from revseg.reversible.kernels.haar import refine_group_

    refine_group_(coarse, fine, halve_time=halve_time, exact=exact)


@cache
def _haar_agrees(device: torch.device, channels: int, dtype: torch.dtype, exact: bool) -> bool:
    from revseg.reversible.kernels.verify import verify_haar

    name = f"Haar transform ({channels} channels, {dtype})"
    return verdict(lambda: verify_haar(device, channels=channels, dtype=dtype, exact=exact), name, device)


def verdict(check: Callable[[], str], name: str, device: torch.device) -> bool:
    """Returns whether a check has nothing against the kernels; warns with its reason where it has.

    Memory that runs out says nothing about a kernel: that error goes on to the caller, and the next use checks again.
    """
    from triton.errors import TritonError

    try:
        reason = check()
    except torch.OutOfMemoryError:
        raise
    except (TritonError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        # No C compiler for the launcher, too little shared memory, a device that refuses the code.
        reason = f"{type(error).__name__}: {error}"
    if reason:
        warnings.warn(f"{name}: PyTorch instead of the fused kernels on {device}: {reason}", stacklevel=4)
    return not reason
