"""Decides which blocks run through the fused kernels: a rule of device, shapes and dtypes alone.

The first time a device meets a new combination, its kernels are compiled and compared with PyTorch on a small
field. If they do not compile or do not agree, that combination stays on PyTorch and cuDNN for the whole
process, and a warning says so. The decision is made before the first step that could use it, so no state
is ever made by one path and undone by the other.
"""

from __future__ import annotations

import importlib.util
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from revseg.reversible.grid import Grid

if TYPE_CHECKING:
    from revseg.reversible.kernels.fused import FusedLayer

CONTAINERS = {torch.float32, torch.int32, torch.int16}
ADJOINTS = {torch.float32, torch.bfloat16}
LARGEST_RANK = 64
# The Haar kernels copy a group of frames first: small enough for the copy to stay in a large L2 cache, large
# enough for the work to take longer than its launch.
HAAR_GROUP_BYTES = 32 << 20


@dataclass
class _Switch:
    on: bool = True


_switch = _Switch()


def enable(on: bool) -> None:
    """Switches the kernels on or off, for comparisons; never call it between a forward pass and its backward pass."""
    _switch.on = on


@cache
def available(device: torch.device) -> bool:
    """Whether Triton can compile for ``device``: CUDA, compute capability 8.0 or more (bfloat16 products)."""
    if device.type != "cuda" or torch.version.hip is not None or importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


@dataclass(frozen=True)
class Layout:
    """Everything the choice of path depends on, besides the device."""

    channels: int
    rank: int
    size: int
    convolution_dtype: torch.dtype
    grid: Grid
    adjoint_dtype: torch.dtype

    @property
    def supported(self) -> bool:
        """Whether the kernels can do it. 16 channels are the least inner dimension of a product; 4 and 8 are read as windows."""
        channels = self.channels in (4, 8) or self.channels % 16 == 0
        dtypes = self.grid.dtype in CONTAINERS and self.adjoint_dtype in ADJOINTS
        shape = channels and self.size == 3 and self.rank <= LARGEST_RANK
        return shape and dtypes and self.convolution_dtype == torch.bfloat16


def usable(device: torch.device, layout: Layout) -> bool:
    """Whether the leapfrog steps of ``layout`` run through the kernels on ``device``."""
    return _switch.on and layout.supported and available(device) and _agrees(device, layout)


def usable_for_haar(field: Tensor, grid: Grid) -> bool:
    """Whether a change of level runs through the kernel; ``field`` (T, H, W, C) state or adjoint, fine."""
    supported = _switch.on and field.dtype in CONTAINERS | ADJOINTS and available(field.device)
    return supported and _haar_agrees(field.device, channels=field.shape[-1], dtype=field.dtype, exact=grid.exact)


def prepare(kernel: Tensor, bias: Tensor, step_size: float, unit: float) -> FusedLayer:
    """Returns a layer that runs through the kernels; call only where ``usable``."""
    from revseg.reversible.kernels.fused import FusedLayer

    return FusedLayer(kernel, bias, step_size=step_size, unit=unit)


def coarsen_group_(fine: Tensor, coarse: Tensor, halve_time: bool, exact: bool) -> None:
    """Coarsens a group of frames by one level, into the same memory; call only where ``usable_for_haar``."""
    from revseg.reversible.kernels.haar import coarsen_group_

    coarsen_group_(fine, coarse, halve_time=halve_time, exact=exact)


def refine_group_(coarse: Tensor, fine: Tensor, halve_time: bool, exact: bool) -> None:
    """Inverts ``coarsen_group_``."""
    from revseg.reversible.kernels.haar import refine_group_

    refine_group_(coarse, fine, halve_time=halve_time, exact=exact)


@cache
def _agrees(device: torch.device, layout: Layout) -> bool:
    from revseg.reversible.kernels.verify import verify_layer

    dtypes = f"{layout.grid.dtype} states, {layout.adjoint_dtype} adjoints"
    name = f"leapfrog step ({layout.channels} channels, rank {layout.rank}, {dtypes})"
    return _verdict(lambda: verify_layer(device, layout), name, device)


@cache
def _haar_agrees(device: torch.device, channels: int, dtype: torch.dtype, exact: bool) -> bool:
    from revseg.reversible.kernels.verify import verify_haar

    name = f"Haar transform ({channels} channels, {dtype})"
    return _verdict(lambda: verify_haar(device, channels=channels, dtype=dtype, exact=exact), name, device)


def _verdict(check: Callable[[], str], name: str, device: torch.device) -> bool:
    from triton.errors import TritonError

    try:
        reason = check()
    except (TritonError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        # No C compiler for the launcher, too little shared memory, a device that refuses the code.
        reason = f"{type(error).__name__}: {error}"
    if reason:
        warnings.warn(f"{name}: PyTorch instead of the fused kernels on {device}: {reason}", stacklevel=4)
    return not reason
