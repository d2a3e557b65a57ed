#!/usr/bin/env python
"""Time block sizes of the fused kernels on this GPU; print the best as entries of kernels/tile.py.

    python scripts/tune_kernels.py --output kernels.json

One level of a 480p video of 100 frames after another (4 channels at level 0): starting from the present tile,
one setting is varied at a time and the fastest kept. Beside each time: TFLOP/s and GB/s reached, and the share of
the roofline (the larger of least bytes over bandwidth and operations over peak). Then whole blocks, fused and
through PyTorch. Under 4 minutes on one GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from revseg.reversible.block import Leapfrog, State
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.haar import coarsen_, refine_
from revseg.reversible.kernels import dispatch
from revseg.reversible.kernels.tile import Tile, padded_rank, tile_of
from revseg.reversible.layer import PreparedLayer
from revseg.reversible.sequence import default_slab_bytes
from revseg.reversible.slab import Slab
from revseg.reversible.wide import WideLayer, is_wide

# Dense bfloat16 FLOP/s and bytes/s by a part of the device's name.
PEAKS = {"H200": (989e12, 4.8e12), "H100": (989e12, 3.35e12), "A100": (312e12, 2.0e12)}
SHAPES = [(1, 4, 16), (2, 4, 16), (4, 4, 16), (1, 8, 16), (2, 8, 16), (2, 4, 32), (1, 4, 32), (1, 2, 32)]
STEP_SIZE = 1.0


@dataclass(frozen=True)
class Level:
    """Fields of one level, random, and what the kernels need."""

    channels: int
    rank: int
    shape: tuple[int, int, int]
    grid: Grid
    adjoint_dtype: torch.dtype

    @property
    def positions(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    def fields(self) -> list[Tensor]:
        """prev, curr, u_prev, u_curr."""
        dtypes = [self.grid.dtype] * 2 + [self.adjoint_dtype] * 2
        shape = (*self.shape, self.channels)  # filled with whole numbers: they suit every container
        return [torch.randn(shape, device="cuda").mul_(99).round_().to(dtype) for dtype in dtypes]

    def work(self, kernel: str) -> tuple[float, float]:
        """(operations, least bytes) of one launch."""
        operations = 2 * 27 * self.channels * self.rank * self.positions
        state = self.positions * self.channels * self.grid.dtype.itemsize
        adjoint = self.positions * self.channels * self.adjoint_dtype.itemsize
        hidden = self.positions * padded_rank(self.rank) * 2
        both = state + adjoint + 2 * hidden
        moved = {"hidden": state + hidden, "leapfrog": 3 * state + hidden, "gradient": both}
        return operations * (2 if kernel == "gradient" else 1), moved[kernel]


def milliseconds(call: Callable[..., object], *arguments: object, repeats: int = 7) -> float:
    """Median over ``repeats`` calls, after two that compile and warm up."""
    for _ in range(2):
        call(*arguments)
    times = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call(*arguments)
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return sorted(times)[repeats // 2]


def launches(level: Level) -> dict[str, Callable[[Tile], object]]:
    """Each kernel on the whole field as one slab, as a function of its tile."""
    from revseg.reversible.kernels.gradient import kernel_gradient
    from revseg.reversible.kernels.hidden import forward_weight, hidden
    from revseg.reversible.kernels.leapfrog import leapfrog_, transposed_weight

    prev, curr, _, u = level.fields()
    rank, (frames, height, _) = padded_rank(level.rank), level.shape
    kernel = torch.randn(level.rank, level.channels, 3, 3, 3, device="cuda") * (level.channels * 27) ** -0.5
    bias = torch.zeros(rank, dtype=torch.bfloat16, device="cuda")
    inwards = forward_weight(kernel * level.grid.unit, rank)
    outwards = transposed_weight(kernel / level.grid.unit, rank)
    slab = Slab(0, frames, 0, height, frames, height, 1)
    a = hidden(curr, inwards, bias, slab, tile_of("hidden", level.channels, rank))
    return {
        "hidden": lambda tile: hidden(curr, inwards, bias, slab, tile),
        "leapfrog": lambda tile: leapfrog_(prev, curr, a, outwards, slab, tile, level.grid.exact),
        "gradient": lambda tile: kernel_gradient(curr, u, a, a, slab, tile),
    }


def neighbours(tile: Tile, channels: int) -> Iterator[list[Tile]]:
    """Tiles that differ from ``tile`` in one setting, setting by setting."""
    yield [replace(tile, stages=stages) for stages in (1, 2, 3, 4)]
    yield [replace(tile, frames=f, height=h, width=w) for f, h, w in SHAPES]
    yield [replace(tile, warps=warps) for warps in (4, 8)]
    yield [replace(tile, channels=block) for block in (16, 32, 64, 128) if channels % block == 0]


def best_tile(launch: Callable[[Tile], object], tile: Tile, channels: int, deadline: float) -> tuple[Tile, float]:
    """Coordinate descent over the settings, once around."""
    from triton.errors import TritonError

    best, shortest = tile, milliseconds(launch, tile)
    for setting in range(4):
        for candidate in list(neighbours(best, channels))[setting]:
            if time.monotonic() > deadline or candidate == best:
                continue
            try:
                taken = milliseconds(launch, candidate)
            except TritonError:  # more shared memory than there is
                continue
            if taken < shortest * 0.99:
                best, shortest = candidate, taken
    return best, shortest


def tune(level: Level, peaks: tuple[float, float], deadline: float) -> list[dict[str, Any]]:
    rows = []
    rank = padded_rank(level.rank)
    calls = launches(level)
    for index, (kernel, launch) in enumerate(calls.items()):
        share = (deadline - time.monotonic()) / (len(calls) - index)
        first = tile_of(kernel, level.channels, rank)
        before = milliseconds(launch, first)
        tile, taken = best_tile(launch, first, level.channels, time.monotonic() + share)
        operations, moved = level.work(kernel)
        row = {"kernel": kernel, "channels": level.channels, "rank": rank, "ms_before": before, "ms": taken,
               "tflops": operations / taken / 1e9, "gbytes_per_s": moved / taken / 1e6,
               "roofline": max(operations / peaks[0], moved / peaks[1]) * 1e3 / taken}  # fmt: skip
        show(row)
        rows.append(row | {"tile": asdict(tile)})
    return rows


def compare_blocks(level: Level, peaks: tuple[float, float]) -> dict[str, Any]:
    """Forward and adjoint of a whole block, fused and through PyTorch and cuDNN."""
    fields = [field[None] for field in level.fields()]
    state = State(fields[0], fields[1], level.grid)
    adjoint = State(fields[2], fields[3], Grid(level.adjoint_dtype, None))
    # Small: 40 steps and more on the same state must not leave the range.
    kernel = torch.randn(level.rank, level.channels, 3, 3, 3, device="cuda") * 0.1
    kernel, bias = kernel * (level.channels * 27) ** -0.5, torch.zeros(level.rank, device="cuda")
    block, budget = Leapfrog(0), default_slab_bytes("cuda", fields[0].nbytes)
    pytorch = WideLayer if is_wide(level.channels, level.rank) else PreparedLayer
    layers = {
        "fused": dispatch.prepare(kernel, bias, STEP_SIZE, level.grid.unit),
        "pytorch": pytorch(kernel, bias, STEP_SIZE, level.grid.unit, torch.bfloat16),
    }
    (k_work, k_bytes), (t_work, t_bytes) = level.work("hidden"), level.work("leapfrog")
    roofline = max((k_work + t_work) / peaks[0], (k_bytes + t_bytes) / peaks[1]) * 1e3
    row: dict[str, Any] = {"block": "leapfrog", "channels": level.channels, "forward_roofline_ms": roofline}
    for name, layer in layers.items():
        row[f"{name}_forward_ms"] = milliseconds(block.forward_, state, layer, budget, repeats=3)
        row[f"{name}_adjoint_ms"] = milliseconds(block.adjoint_, state, adjoint, layer, budget, repeats=3)
    show(row)
    return row


def time_haar(level: Level) -> dict[str, Any]:
    """Refine to the level above and coarsen again, fused and not; GB/s count one read and one write each."""
    field = level.fields()[0]
    row: dict[str, Any] = {"block": "haar", "channels": level.channels}
    budget = default_slab_bytes("cuda", field.nbytes)

    def there_and_back() -> None:
        coarsen_(refine_(field, True, level.grid, budget), True, level.grid, budget)

    for name, on in (("fused", True), ("pytorch", False)):
        dispatch.enable(on)
        taken = milliseconds(there_and_back, repeats=3)
        row[f"{name}_ms"] = taken
        row[f"{name}_gbytes_per_s"] = 4 * field.numel() * field.element_size() / taken / 1e6
    dispatch.enable(True)
    show(row)
    return row


def show(row: dict[str, Any]) -> None:
    texts = {key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()}
    print("  ".join(f"{key} {text}" for key, text in texts.items()), flush=True)


def levels(options: argparse.Namespace) -> Iterator[Level]:
    state, adjoint = getattr(torch, options.state_dtype), getattr(torch, options.adjoint_dtype)
    for index in options.levels:
        frames, height, width = (-(-n // 8) * 8 // 2**index for n in (options.frames, options.height, options.width))
        grid = Grid(state, DEFAULT_BITS[state])
        yield Level(4 * 8**index, options.rank, (frames, height, width), grid, adjoint)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time block sizes of the fused kernels.")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=854)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--state-dtype", default="float32", choices=["float32", "int32", "int16"])
    parser.add_argument("--adjoint-dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--seconds", type=float, default=180, help="for the search")
    parser.add_argument("--output", type=Path, default=Path("tune_kernels.json"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    if not torch.cuda.is_available():
        raise SystemExit("tune_kernels: there is no CUDA device to tune for")
    name = torch.cuda.get_device_name()
    peaks = next((value for part, value in PEAKS.items() if part in name), PEAKS["A100"])
    rows, blocks, deadline = [], [], time.monotonic() + options.seconds
    todo = list(levels(options))
    for index, level in enumerate(todo):
        dtypes = (torch.bfloat16, level.grid, level.adjoint_dtype)
        if not dispatch.usable(torch.device("cuda"), dispatch.Layout(level.channels, level.rank, 3, *dtypes)):
            print(f"{level.channels} channels: the kernels are not usable here")
            continue
        share = (deadline - time.monotonic()) / (len(todo) - index)
        rows += tune(level, peaks, time.monotonic() + share)
        blocks += [compare_blocks(level, peaks), time_haar(level)]
    for row in rows:
        print(f'    ("{row["kernel"]}", {row["channels"]}, {row["rank"]}): {Tile(**row["tile"])},')
    report = {"device": name, "torch": torch.__version__, "kernels": rows, "blocks": blocks}
    options.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
