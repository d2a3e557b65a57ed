"""One leapfrog block per level, forward and backward, against what the machine can do at best.

    roofline time = max(bytes / bandwidth, operations / peak)

Bytes are the least that must move: forward reads prev and curr and writes prev; backward does that for the
state and for the adjoint. Hidden activations are not counted: ideally they stay on the chip. Operations are 2
convolutions forward and 6 backward (recomputation 2, adjoint 2, kernel gradients 2). Bandwidth and peak are
those of a large copy and a large bfloat16 (float32 where bfloat16 is not fast) matrix product, measured in
the same process.

The time of a block is the slope between a sequence of 1 block and one of 5, so that what is done once does
not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmark.case import Case
from benchmark.peers import PEERS, Revseg
from revseg.network.network import fast_convolution_dtype
from revseg.reversible.block import State
from revseg.reversible.grid import Grid

REPEATS = 5
FEW, MANY = 1, 5
MACHINE = {"cpu": (1 << 26, 2048), "cuda": (1 << 30, 8192)}  # elements copied, side of the matrices


class BlockMeasurement:
    """Asked like any other measurement; ``peak`` is where it does its work."""

    def __init__(self, case: Case, device: torch.device) -> None:
        """case: ``size`` of the fields and ``channels`` at the block's level."""
        self.case, self.device = case, device

    def facts(self) -> dict[str, Any]:
        return {"flops": 4.0 * 27 * self.case.rank * self.case.channels * self.case.voxels}

    def peak(self) -> dict[str, Any]:
        few, many = (_passes(self.case, self.device, blocks) for blocks in (FEW, MANY))
        forward, backward = ((many[i] - few[i]) / (MANY - FEW) for i in range(2))
        elements, operations = self.case.voxels * self.case.channels, self.facts()["flops"]
        bandwidth, peak = machine(self.device, elements)
        state, adjoint = (2, 2) if self.case.peer == "revseg-int16" else (4, 4)  # bytes per element
        return {
            "forward_seconds": forward,
            "backward_seconds": backward,
            "bandwidth": bandwidth,
            "peak_flops": peak,
            "forward_roofline": max(3 * state * elements / bandwidth, operations / peak),
            "backward_roofline": max(3 * (state + adjoint) * elements / bandwidth, 3 * operations / peak),
        }

    def seconds(self, alone: bool) -> dict[str, Any]:
        raise ValueError("a block is timed once, by its own repeats; measure it with repeats=0")


def machine(device: torch.device, elements: int) -> tuple[float, float]:
    """Bytes a second of a copy (no larger than the case needs), operations a second of a matrix product."""
    copied, side = MACHINE[device.type]
    source = torch.zeros(min(copied, max(elements, 1 << 20)), device=device)
    target = torch.empty_like(source)
    dtype = fast_convolution_dtype()
    matrix = torch.randn(side, side, device=device).to(dtype)
    copy = min(_times(lambda: target.copy_(source), device))
    product = min(_times(lambda: matrix @ matrix, device))
    return 2 * source.nbytes / copy, 2 * side**3 / product


def _passes(case: Case, device: torch.device, blocks: int) -> tuple[float, float]:
    """Median seconds of ``blocks`` blocks forward and backward."""
    model = PEERS[case.peer].build(Case(case.peer, case.size, (blocks,), "block", case.channels, case.rank), device)
    assert isinstance(model, Revseg)
    sequence = model.net.sequence
    values = torch.randn(1, case.channels, *case.size, device=device)
    state = sequence.pair(values, values, sequence.grid)
    wide = sequence.pair(values, values, Grid(torch.float32, None))
    dtype = sequence.adjoint_dtype
    adjoint = State(wide.prev.to(dtype), wide.curr.to(dtype), Grid(dtype, None))
    parameters = sequence.detached()
    forward, backward = [], []
    with torch.no_grad():
        for _ in range(REPEATS + 1):  # the first warms up; backward undoes forward, so every repeat starts from the same state
            forward.append(_time(lambda: sequence.forward_(state, parameters), device))
            backward.append(_time(lambda: sequence.adjoint_(state, adjoint, parameters), device))
    return statistics.median(forward[1:]), statistics.median(backward[1:])


def _times(work: Callable[[], Tensor], device: torch.device) -> list[float]:
    return [_time(work, device) for _ in range(REPEATS + 2)][2:]


def _time(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
