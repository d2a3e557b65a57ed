"""A leapfrog block forwards and backwards on each level of a network with 4 channels, beside its roofline.

The roofline is the larger of least bytes over bandwidth and operations over peak: 2 convolutions forwards; backwards 2 to undo
the step, 2 for the adjoint and 2 for the gradient of K. Least bytes count each field once a read and once a write.
"""

from __future__ import annotations

import argparse
import json
from math import prod
from statistics import median
from typing import Any

import torch
from harness import arguments

from measuring.steps import timed
from revseg.reversible.block import Leapfrog
from revseg.reversible.context import Context
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.run import default_slab_bytes
from revseg.reversible.state import State

# Dense bfloat16 operations and bytes a second, by a part of the device's name.
PEAKS = {"H200": (989e12, 4.8e12), "H100": (989e12, 3.35e12), "A100": (312e12, 2.0e12)}
CHANNELS, RANK, REPEATS = 4, 16, 7


def measured(level: int, size: tuple[int, int, int], device: torch.device) -> dict[str, Any]:
    """Times a block on int16 states and float16 adjoints."""
    grid, adjoint_dtype = Grid(torch.int16, DEFAULT_BITS[torch.int16]), torch.float16
    channels, shape = CHANNELS * 8**level, tuple(-(-n // 8) * 8 // 2**level for n in size)
    block = Leapfrog(SymmetricLayer(channels, RANK), 0.5).to(device)
    field = torch.randn(1, *shape, channels, device=device).mul_(20).round_().to(grid.dtype)
    state = State(field, field.clone(), grid)
    adjoint = State(*(torch.randn(field.shape, device=device).to(adjoint_dtype) for _ in range(2)), Grid(adjoint_dtype, None))
    budget = default_slab_bytes(device.type, field.nbytes)
    context = Context(torch.bfloat16, adjoint_dtype, budget)
    with torch.no_grad():
        operands = tuple(part.detach() for part in block.operands())
        forward = timed(lambda: block.forward_(state, operands, context), 2 + REPEATS, device)[2:]
        backward = timed(lambda: block.adjoint_(state, adjoint, operands, context, needs=(True, True)), 2 + REPEATS, device)[2:]
    return {"channels": channels, "forward": median(forward), "backward": median(backward), **_roofline(channels, shape, device)}


def _roofline(channels: int, shape: tuple[int, ...], device: torch.device) -> dict[str, float]:
    """Least seconds forwards and backwards; empty for a device whose peaks are not known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    known = [peaks for part, peaks in PEAKS.items() if part in name]
    if not known:
        return {}
    (operations_a_second, bytes_a_second), positions = known[0], prod(shape)
    convolution = 2 * 27 * channels * RANK * positions
    field, hidden = 2 * channels * positions, 2 * RANK * positions
    moved = {"forward": 4 * field + 2 * hidden, "backward": 4 * field + 4 * field + 2 * field + 8 * hidden}
    counts = {"forward": 2, "backward": 6}
    return {
        f"{way}_roofline": max(counts[way] * convolution / operations_a_second, moved[way] / bytes_a_second) for way in counts
    }


def main() -> None:
    parser = arguments.parser(__doc__, device=True)
    parser.add_argument("--small", action="store_true")
    given: argparse.Namespace = parser.parse_args()
    size, levels = ((8, 16, 16), (1,)) if given.small else ((100, 480, 854), (1, 2, 3))
    print(json.dumps({f"level {level}": measured(level, size, torch.device(given.device)) for level in levels}))


if __name__ == "__main__":
    main()
