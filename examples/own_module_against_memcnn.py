"""Compares a reversible sequence of attention blocks with MemCNN and with plain autograd: memory, inverse, time.

The three compute with the same modules, weights counted alike: an additive coupling of MemCNN holds two modules, and two leapfrog
steps hold them here. Each is measured in a process of its own. Peak memory is what a training step adds to the process (its
largest resident size), time is the shortest of a few steps, and the error of the inverse is that of the state
that the network began with, relative to its largest value. Without the package memcnn its rows are left out.

    python examples/own_module_against_memcnn.py
"""

from __future__ import annotations

import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg import Leapfrog, ReversibleSequence

DEPTHS, STEPS = (4, 12), 2
SHAPE = (8, 64, 20, 20)
State = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Self-attention and two linear layers over all positions: (N, C, H, W) -> the same shape."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.inwards, self.outwards = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mix = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, y: Tensor) -> Tensor:
        tokens = y.flatten(2).transpose(1, 2)
        parts = self.inwards(self.norm(tokens)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        return self.mix(self.outwards(attended)).transpose(1, 2).unflatten(2, y.shape[2:])


class Network(NamedTuple):
    """A network that maps a state, and its inverse where it has one."""

    module: nn.Module
    forward: Callable[[Tensor, Tensor], State]
    inverse: Callable[[Tensor, Tensor], State] | None


def build(kind: str, depth: int) -> Network:
    """Returns a network of ``depth`` attention modules: "reversible", "plain autograd" or "MemCNN"."""
    modules = [Attention(SHAPE[1]) for _ in range(depth)]
    if kind != "MemCNN":
        sequence = ReversibleSequence([Leapfrog(part, step_size=0.5) for part in modules], recompute=kind == "reversible")
        return Network(sequence, sequence, sequence.inverse if sequence.recompute else None)
    import memcnn

    pairs = [memcnn.AdditiveCoupling(*modules[index : index + 2]) for index in range(0, depth, 2)]
    couplings = [memcnn.InvertibleModuleWrapper(pair, keep_input=False, keep_input_inverse=False) for pair in pairs]

    def through(prev: Tensor, curr: Tensor, backwards: bool = False) -> State:
        both = torch.cat([prev, curr], 1)
        for coupling in reversed(couplings) if backwards else couplings:
            both = coupling.inverse(both) if backwards else coupling(both)
        return both.chunk(2, 1)  # type: ignore[return-value]

    return Network(nn.ModuleList(couplings), through, lambda prev, curr: through(prev, curr, backwards=True))


def peak_bytes() -> int:
    """Returns the largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage would count the parent process
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(kind: str, depth: int) -> str:
    """Returns a row of the table."""
    warnings.simplefilter("ignore", FutureWarning)  # MemCNN uses names that PyTorch has renamed
    torch.manual_seed(0)
    network = build(kind, depth)

    def step(prev: Tensor, curr: Tensor) -> float:
        prev, curr = prev.clone().requires_grad_(), curr.clone().requires_grad_()
        start = time.perf_counter()
        (network.forward(prev * 1, curr * 1)[1] ** 2).mean().backward()
        return time.perf_counter() - start

    step(*torch.randn(2, 1, SHAPE[1], 4, 4))  # loads libraries
    prev, curr = torch.randn(2, *SHAPE)
    before = peak_bytes()
    seconds = min(step(prev, curr) for _ in range(STEPS))
    added = (peak_bytes() - before) / 2**20
    error = "none"
    if network.inverse is not None:
        prev, curr = ((part * 4096).round() / 4096 for part in (prev, curr))  # on our grid: MemCNN begins with the same values
        with torch.no_grad():
            back = network.inverse(*network.forward(prev.clone(), curr.clone()))
        error = (
            f"{max(float((a - b).abs().max()) for a, b in zip(back, (prev, curr), strict=True)) / float(curr.abs().max()):.1e}"
        )
    weights = sum(part.numel() for part in network.module.parameters())
    return f"{kind:15} {depth:6} {weights:9} {added:13.0f} {seconds:11.2f}   {error:>12}"


def main() -> None:
    kinds = ["reversible", "MemCNN", "plain autograd"]
    if find_spec("memcnn") is None:
        kinds.remove("MemCNN")
        print("The package memcnn is not installed, so its rows are left out: pip install 'revseg[bench]' brings it.")
    print(f"{'network':15} {'depth':>6} {'weights':>9} {'step adds MiB':>13} {'s per step':>11}   {'inverse off':>12}")
    for depth in DEPTHS:
        for kind in kinds:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                print(process.submit(measure, kind, depth).result())


if __name__ == "__main__":
    main()
