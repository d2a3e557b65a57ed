"""Time block sizes of the fused kernels on this GPU; print the best as entries of kernels/tile.py.

    python scripts/tune_kernels.py --size 100x480x854 --output kernels.json

One level of a 480p video of 100 frames after another (--channels at level 0): starting from the present tile,
one setting is varied at a time and the fastest kept. Beside each time: TFLOP/s and GB/s reached, and the share of
the roofline (the larger of least bytes over bandwidth and operations over peak). Under 4 minutes on one GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import torch
from harness import arguments
from harness.results import write_json
from torch import Tensor

from revseg.reversible.activation import RELU
from revseg.reversible.force.choice import choose
from revseg.reversible.force.force import Layout
from revseg.reversible.force.slab import Slab
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.kernels.tile import Tile, generation_of, padded_rank, tile_of

# Dense bfloat16 FLOP/s and bytes/s by a part of the device's name.
PEAKS = {"H200": (989e12, 4.8e12), "H100": (989e12, 3.35e12), "A100": (312e12, 2.0e12)}
SHAPES = [(1, 4, 16), (2, 4, 16), (4, 4, 16), (1, 8, 16), (2, 8, 16), (2, 4, 32), (1, 4, 32), (1, 2, 32)]


@dataclass(frozen=True)
class Level:
    """Fields of one level, random, and what the kernels need."""

    channels: int
    rank: int
    shape: tuple[int, int, int]
    grid: Grid
    adjoint_dtype: torch.dtype

    def fields(self) -> list[Tensor]:
        """prev, curr, u_prev, u_curr."""
        dtypes = [self.grid.dtype] * 2 + [self.adjoint_dtype] * 2
        shape = (*self.shape, self.channels)  # filled with whole numbers: they suit every container
        return [torch.randn(shape, device="cuda").mul_(99).round_().to(dtype) for dtype in dtypes]

    def work(self, kernel: str) -> tuple[float, float]:
        """Returns (operations, least bytes) of one launch."""
        positions = prod(self.shape)
        operations = 2 * 27 * self.channels * self.rank * positions
        state, adjoint = (positions * self.channels * dtype.itemsize for dtype in (self.grid.dtype, self.adjoint_dtype))
        hidden = positions * padded_rank(self.rank) * 2
        moved = {"hidden": state + hidden, "leapfrog": 3 * state + hidden, "gradient": state + adjoint + 2 * hidden}
        return operations * (2 if kernel == "gradient" else 1), moved[kernel]


def milliseconds(call: Callable[..., object], *given: object, repeats: int = 7) -> float:
    """Returns the median over ``repeats`` calls, after two that compile and warm up."""
    times = []
    for _ in range(2 + repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call(*given)
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return median(times[2:])


def generation() -> int:
    return generation_of(torch.device("cuda"))


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
    slab = Slab(0, frames, 0, height, frames, height, (1, 1, 1))
    a = hidden(curr, inwards, bias, slab, tile_of("hidden", level.channels, rank, generation=generation()))
    return {
        "hidden": lambda tile: hidden(curr, inwards, bias, slab, tile),
        "leapfrog": lambda tile: leapfrog_(prev, curr, a, outwards, slab, tile, level.grid.exact),
        "gradient": lambda tile: kernel_gradient(curr, u, a, a, slab, tile),
    }


def neighbours(tile: Tile, channels: int) -> list[list[Tile]]:
    """Returns tiles that differ from ``tile`` in one setting, setting by setting."""
    shapes = [replace(tile, frames=f, height=h, width=w) for f, h, w in SHAPES]
    blocks = [replace(tile, channels=block) for block in (16, 32, 64, 128) if channels % block == 0]
    stages, warps = ([replace(tile, **{name: n}) for n in some] for name, some in (("stages", (1, 2, 3, 4)), ("warps", (4, 8))))
    return [stages, shapes, warps, blocks]


def best_tile(launch: Callable[[Tile], object], tile: Tile, channels: int, deadline: float) -> tuple[Tile, float]:
    """Coordinate descent over the settings, once around."""
    from triton.errors import TritonError

    best, shortest = tile, milliseconds(launch, tile)
    for setting in range(4):
        for candidate in neighbours(best, channels)[setting]:
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
    rows, rank, calls = [], padded_rank(level.rank), launches(level)
    for index, (kernel, launch) in enumerate(calls.items()):
        share = (deadline - time.monotonic()) / (len(calls) - index)
        first = tile_of(kernel, level.channels, rank, generation=generation())
        before = milliseconds(launch, first)
        tile, taken = best_tile(launch, first, level.channels, time.monotonic() + share)
        operations, moved = level.work(kernel)
        row = {"kernel": kernel, "channels": level.channels, "rank": rank, "ms_before": before, "ms": taken,
               "tflops": operations / taken / 1e9, "gbytes_per_s": moved / taken / 1e6,
               "roofline": max(operations / peaks[0], moved / peaks[1]) * 1e3 / taken}  # fmt: skip
        show(row)
        rows.append(row | {"tile": asdict(tile)})
    return rows


def show(row: dict[str, Any]) -> None:
    texts = {key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()}
    print("  ".join(f"{key} {text}" for key, text in texts.items()), flush=True)


def levels(options: argparse.Namespace) -> Iterator[Level]:
    state, adjoint = getattr(torch, options.state_dtype), getattr(torch, options.adjoint_dtype)
    for index in options.levels:
        frames, height, width = (-(-n // 8) * 8 // 2**index for n in options.size)
        grid = Grid(state, DEFAULT_BITS[state])
        yield Level(options.channels * 8**index, options.rank, (frames, height, width), grid, adjoint)


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--size", type=arguments.size, default=(100, 480, 854), help="of the video (default: 100x480x854)")
    parser.add_argument("--channels", type=int, default=4, help="at level 0 (default: 4)")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--state-dtype", default="float32", choices=["float32", "int32", "int16"])
    parser.add_argument("--adjoint-dtype", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--seconds", type=float, default=180, help="for the search")
    parser.add_argument("--output", type=Path, default=Path("tune_kernels.json"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    if not torch.cuda.is_available():
        sys.exit("tune_kernels: there is no CUDA device to tune for")
    name = torch.cuda.get_device_name()
    peaks = next((value for part, value in PEAKS.items() if part in name), PEAKS["A100"])
    rows, deadline = [], time.monotonic() + options.seconds
    todo = list(levels(options))
    for index, level in enumerate(todo):
        dtypes = (torch.bfloat16, level.grid, level.adjoint_dtype)
        layout = Layout(level.channels, level.rank, (3, 3, 3), RELU, *dtypes)
        if choose(layout, torch.device("cuda")) != "fused":
            print(f"{level.channels} channels: the kernels are not usable here")
            continue
        share = (deadline - time.monotonic()) / (len(todo) - index)
        rows += tune(level, peaks, time.monotonic() + share)
    for row in rows:
        print(f'    ("{row["kernel"]}", {row["channels"]}, {row["rank"]}): {Tile(**row["tile"])},')
    write_json(options.output, {"device": name, "torch": torch.__version__, "kernels": rows})


if __name__ == "__main__":
    main()
