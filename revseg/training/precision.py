"""Decides in which precision a CPU convolves, by a short trial of the network's own blocks; kept on disk for the next run.

That a processor has instructions for bfloat16 does not say that convolutions in it are fast: with AVX-512 BF16 and no AMX, a step
was 1.4 times faster than in float32 on one machine, and 1.4 times slower on another. A GPU needs no trial.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from revseg.network.config import NetworkConfig
from revseg.network.network import adjoint_dtype_of, convolution_dtype_of, grid_of
from revseg.network.plan import BlockPlan, blocks_of, padded_size
from revseg.reversible.block import Leapfrog
from revseg.reversible.context import Context
from revseg.reversible.grid import Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.run import default_slab_bytes
from revseg.reversible.state import State
from revseg.runs.atomic import replacing
from revseg.runs.machine import cache_folder, processor

LOG = logging.getLogger("revseg")

Size = tuple[int, int, int]
CANDIDATES = (torch.float32, torch.bfloat16)
ROUNDS = 3
# Values of a field in the trial: enough for the libraries to take the kernels that they take for the whole.
TRIED = 1 << 19


@dataclass(frozen=True)
class Trial:
    """Seconds of the blocks of one step in each precision, by its name."""

    seconds: dict[str, float]

    @property
    def fastest(self) -> str:
        return min(self.seconds, key=self.seconds.__getitem__)


def choose_precision(config: NetworkConfig, size: Size, device: torch.device) -> torch.dtype:
    """Returns the dtype in which a network convolves a video of ``size`` (T, H, W) on this machine.

    network.convolution_dtype says it, unless it is auto: on a CPU with instructions for bfloat16 a trial tells then.
    """
    dtype = convolution_dtype_of(config)
    open_to_both = config.convolution_dtype == "auto" and device.type == "cpu" and dtype == torch.bfloat16
    if not open_to_both or not _tried_blocks(config, size):
        return dtype
    path = cache_folder("precision") / f"{_key(config, size)}.json"
    trial = _kept(path)
    told = "as measured before"
    if trial is None:
        trial, told = try_out(config, size), "by a trial"
        with suppress(OSError):  # a home that cannot be written: measured again next time
            _keep(trial, path)
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in trial.seconds.items())
    LOG.info(f"convolutions in {trial.fastest}, {told}: a step's blocks take {times} (network.convolution_dtype)")
    return getattr(torch, trial.fastest)


def try_out(config: NetworkConfig, size: Size) -> Trial:
    """Times a forward and a backward pass of each kind of block, the precisions in turns; the fastest of a few rounds counts."""
    seconds = dict.fromkeys((_name(dtype) for dtype in CANDIDATES), 0.0)
    for plan, shape, share in _tried_blocks(config, size):
        passes = {_name(dtype): _Pass(config, plan, shape=shape, dtype=dtype) for dtype in CANDIDATES}
        for each in passes.values():
            each.seconds()  # libraries choose and compile their kernels
        rounds = [{name: each.seconds() for name, each in passes.items()} for _ in range(ROUNDS)]
        for name in seconds:
            seconds[name] += share * min(one[name] for one in rounds)
    return Trial(seconds)


class _Pass:
    """A leapfrog block on random fields."""

    def __init__(self, config: NetworkConfig, plan: BlockPlan, *, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(0)
        grid, adjoint = grid_of(config), Grid(adjoint_dtype_of(config), None)
        layer = SymmetricLayer(plan.channels, plan.rank, config.kernel_size)
        self.block = Leapfrog(layer, config.step_size)
        with torch.no_grad():
            layer.kernel.normal_(std=(plan.channels * config.kernel_size**3) ** -0.5, generator=generator)
            self.operands = tuple(part.detach() for part in self.block.operands())
        fields = torch.randn(4, 1, *shape, plan.channels, generator=generator)
        prev, curr = fields[:2].mul(16).round().to(grid.dtype).clone()
        self.state = State(prev, curr, grid)
        velocity, gradient = fields[2:].to(adjoint.dtype).clone()
        self.adjoint = State(velocity, gradient, adjoint)
        self.context = Context(dtype, adjoint.dtype, config.slab_bytes or default_slab_bytes("cpu", self.state.curr.nbytes))

    def seconds(self) -> float:
        """Runs the block there and back; the state ends as it began."""
        start = time.perf_counter()
        with torch.no_grad(), self.context.same_kernels():
            self.block.forward_(self.state, self.operands, self.context)
            self.block.adjoint_(self.state, self.adjoint, operands=self.operands, context=self.context, needs=(True, True))
        return time.perf_counter() - start


def _tried_blocks(config: NetworkConfig, size: Size) -> list[tuple[BlockPlan, tuple[int, int, int], float]]:
    """Returns each kind of leapfrog block, the size (T, H, W) it is tried at, and how often that is contained in a step."""
    counts: dict[BlockPlan, int] = {}
    for plan in blocks_of(config):
        if plan.kind == "leapfrog":
            counts[plan] = counts.get(plan, 0) + 1
    frames, height, width = padded_size(config, size)
    found = []
    for plan, count in counts.items():
        t, h, w = frames >> sum(config.halves_time[: plan.level]), height >> plan.level, width >> plan.level
        few = min(t, max(3, TRIED // (h * w * plan.channels)))
        rows = min(h, max(8, TRIED // (few * w * plan.channels)))
        found.append((plan, (few, rows, w), count * t * h / (few * rows)))
    return found


def _key(config: NetworkConfig, size: Size) -> str:
    """Returns a digest of all that the times depend on: machine, libraries, threads and the shapes of the blocks."""
    tried = [(plan.channels, plan.rank, shape) for plan, shape, _ in _tried_blocks(config, size)]
    kept = (config.kernel_size, config.state_dtype, config.adjoint_dtype, config.slab_bytes)
    machine = (processor(), torch.__version__, torch.get_num_threads())
    return hashlib.blake2b(json.dumps([machine, kept, tried]).encode(), digest_size=16).hexdigest()


def _kept(path: Path) -> Trial | None:
    """Returns the trial of an earlier run; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = {_name(dtype) for dtype in CANDIDATES}
    whole = isinstance(found, dict) and set(found) == names and all(type(each) is float for each in found.values())
    return Trial(found) if whole else None


def _keep(trial: Trial, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(trial.seconds), encoding="utf-8")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
