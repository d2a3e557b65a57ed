"""Bytes of the kernel of one symmetric layer, its gradient and the optimizer's state, by level and rank.

    python scripts/kernel_table.py                              # 4 channels on level 0, levels 0 to 4
    python scripts/kernel_table.py --channels 12 --levels 0,1,2,3

Measured: a layer with C 8^level channels is built, its gradient computed by backward, and the optimizer takes a step; then the
bytes of all tensors that exist are added. What would take more than 60 % of the free memory, or minutes, is computed:

    weights = gradients     4 r (27 C + 1)
    Muon                    4 r 27 C + 8 r + 4        momentum of the kernel; two moments of the bias, and a count
    AdamW                   8 r (27 C + 1) + 8        two moments of both, and two counts
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from harness import ROOT, arguments, machine
from harness.page import table, write_section
from torch import Tensor, nn

from revseg.device import free_memory
from revseg.reversible.layer import SymmetricLayer
from revseg.training.config import OptimizerConfig
from revseg.training.optimizer import Optimizer

OPTIMIZERS = ("muon", "adamw")
RANKS: tuple[int | None, ...] = (8, 16, 32, 64, None)
"""None: as many as channels."""
# Operations of Muon's orthogonal matrix: about two minutes of one thread.
OPERATIONS, SHARE = 1e12, 0.6


def formula(channels: int, rank: int) -> dict[str, int]:
    """Returns bytes by purpose."""
    weights = 4 * rank * (27 * channels + 1)
    muon = 4 * rank * 27 * channels + 8 * rank + 4
    return {"weights": weights, "gradients": weights, "muon": muon, "adamw": 2 * weights + 8}


def measured(channels: int, rank: int) -> dict[str, int]:
    """Returns bytes by purpose, of tensors that exist."""
    found: dict[str, int] = {}
    for name in OPTIMIZERS:
        net = nn.ModuleList([SymmetricLayer(channels, rank)])
        optimizer = Optimizer(net, OptimizerConfig(name=name))
        backward(net[0])  # type: ignore[arg-type]
        found["weights"] = sum(weight.nbytes for weight in net.parameters())
        found["gradients"] = sum(weight.grad.nbytes for weight in net.parameters() if weight.grad is not None)
        optimizer.step(1.0)
        found[name] = bytes_of(optimizer.state_dict())
    return found


def backward(layer: SymmetricLayer) -> None:
    """Computes the gradient of a loss of K y + b, for noise y. K is used as it is: only the sizes count."""
    y = torch.randn(1, layer.channels, 2, 2, 2)
    F.conv3d(y, layer.kernel, layer.bias, padding=1).square().mean().backward()


def bytes_of(state: object) -> int:
    """Returns the bytes of all tensors in nested dictionaries and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return sum(bytes_of(part) for part in parts)


def fits(channels: int, rank: int) -> bool:
    """Whether a layer can be measured: Muon's step has two more copies of the kernel for a while."""
    few = 4 * min(rank, 27 * channels) ** 2 * max(rank, 27 * channels) < OPERATIONS
    return few and 6 * formula(channels, rank)["weights"] < SHARE * free_memory(torch.device("cpu"))


def main() -> None:
    given = parse()
    torch.manual_seed(0)
    rows = []
    for level in given.levels:
        channels = given.channels * 8**level
        for rank in RANKS:
            exists = fits(channels, rank or channels)
            found = (measured if exists else formula)(channels, rank or channels)
            cells = [
                f"{found[name] / 1e6:{',.0f' if found[name] > 1e9 else '.4g'}}" for name in ("weights", "gradients", *OPTIMIZERS)
            ]
            rows.append(
                (level, channels, f"full ({channels})" if rank is None else rank, *cells, "measured" if exists else "computed")
            )
            print(*rows[-1], flush=True)
    header = ("level", "channels", "rank", "weights, MB", "gradients, MB", "Muon's state, MB", "AdamW's state, MB", "")
    facts = machine.lines(machine.facts("cpu", torch.get_num_threads()))
    command = f"- command: `python scripts/kernel_table.py --channels {given.channels}`\n\n"
    write_section(given.page, "kernel_table", f"from {given.channels} channels", facts + command + table(header, rows, words=0))


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--channels", type=int, default=4, help="on level 0 (default: 4)")
    parser.add_argument("--levels", type=arguments.numbers, default=[0, 1, 2, 3, 4], help="default: 0,1,2,3,4")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results" / "kernels.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
