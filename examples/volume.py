"""Segments a volume that is no video: five measured channels on a grid of depth, height and width, states in 16 bits.

The classes are two kinds of rock in layers that bend with depth; the channels are noisy measurements of them. Fine blocks look
along H and W alone (kernel 1 x 3 x 3), coarse ones along all three axes (3 x 3 x 3); the Haar transform between them halves H
and W. States are int16, adjoints float16: the floor of a training step is 2 states and 2 adjoints, 8 bytes for each value of one
of them, whatever the depth. Printed are the loss, the share of right voxels, and the memory of a larger volume's step, in bytes
a value: a pass in place takes little beside the floor; in an ordinary loop autograd carries float32 in and out.

    python examples/volume.py
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg import Block, Coarsen, Grid, Leapfrog, Refine, ReversibleSequence, State, SymmetricLayer

CHANNELS, STEPS, SIZE, LARGE = 8, 20, (8, 32, 32), (16, 160, 160)
HALVED = (False, True, True)


def sequence(depth: int = 2) -> ReversibleSequence:
    """Returns fine, coarse and fine blocks, ``depth`` each."""
    fine = [[Leapfrog(SymmetricLayer(CHANNELS, 16, (1, 3, 3))) for _ in range(depth)] for _ in range(2)]
    coarse = [Leapfrog(SymmetricLayer(4 * CHANNELS, 16, 3)) for _ in range(depth)]
    blocks: list[Block] = [*fine[0], Coarsen(HALVED), *coarse, Refine(HALVED), *fine[1]]
    return ReversibleSequence(blocks, grid=Grid(torch.int16, bits=8), adjoint_dtype=torch.float16, slab_bytes=1 << 20)


class Segmenter(nn.Module):
    """Opening, reversible sequence, head: (N, 5, D, H, W) -> logits (N, 2, D, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.opening, self.head = nn.Conv3d(5, CHANNELS, 1), nn.Conv3d(2 * CHANNELS, 2, 1)
        self.sequence = sequence()

    def forward(self, volume: Tensor) -> Tensor:
        y = self.opening(volume)
        return self.head(torch.cat(self.sequence(y, y), 1))


def volumes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns measurements (count, 5, D, H, W) and classes (count, D, H, W)."""
    random = np.random.default_rng(seed)
    d, h, w = np.mgrid[: SIZE[0], : SIZE[1], : SIZE[2]]
    tilt, phase = random.uniform(-0.5, 0.5, (2, count, 1, 1, 1)), random.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    rock = np.sin(2 * np.pi * (h + tilt[0] * w + tilt[1] * d) / 16 + np.sin(w / 8) + phase) > 0
    gains = np.linspace(-1, 1, 5)[:, None, None, None]
    measured = gains * (2.0 * rock[:, None] - 1) + random.normal(0, 2, (count, 5, *SIZE))
    return torch.from_numpy(measured.astype(np.float32)), torch.from_numpy(rock.astype(np.int64))


def train(net: Segmenter) -> tuple[float, float, float]:
    """Returns the first and the last loss, and the share of right voxels in other volumes."""
    optimizer, losses = torch.optim.AdamW(net.parameters(), lr=1e-2), []
    for step in range(STEPS):
        volume, rock = volumes(2, seed=step)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(volume), rock)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    volume, rock = volumes(8, seed=10**6)
    with torch.no_grad():
        return losses[0], losses[-1], float((net(volume).argmax(1) == rock).float().mean())


def peak_bytes() -> int:
    """Returns the largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage would count the parent process
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def warm_sequence() -> ReversibleSequence:
    """Returns a sequence that has run on a small field, so that what libraries load does not count."""
    blocks = sequence()
    blocks(*torch.zeros(2, 1, CHANNELS, 4, 16, 16).requires_grad_())[1].sum().backward()
    return blocks


def pass_in_place() -> tuple[float, bool]:
    """Returns the bytes for each value that a pass and its adjoint add, and whether the state came back bit for bit."""
    blocks, before = warm_sequence(), peak_bytes()
    field = torch.randint(-500, 500, (1, *LARGE, CHANNELS), dtype=torch.int16)
    run, operands = blocks.begin(field.nbytes, device=field.device), blocks.detached()
    state = State.at_rest(field, blocks.grid)
    start = state.checksum()
    run.forward_(state, operands)
    u = torch.full(field.shape, 0.5, dtype=torch.float16)  # d(loss)/d(curr); that of prev is zero
    run.adjoint_(state, State(u.clone(), u, Grid(torch.float16, None)), operands)
    end = state.checksum()
    back = start is not None and end is not None and torch.equal(start, end)
    return (peak_bytes() - before) / u.numel(), back


def ordinary_step() -> float:
    """Returns the bytes for each value that a step under autograd adds."""
    blocks, before = warm_sequence(), peak_bytes()
    y = torch.rand(1, CHANNELS, *LARGE).requires_grad_()
    (blocks(y, y)[1] ** 2).mean().backward()
    return (peak_bytes() - before) / y.numel()


def measured(function: Callable[..., Any]) -> Any:
    """Returns what a function returns in a process of its own, whose peak memory is the function's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function).result()


def main() -> None:
    torch.manual_seed(0)
    first, last, right = train(Segmenter())
    print(f"loss {first:.3f} -> {last:.3f}, right voxels of other volumes: {right:.3f}")
    (in_place, back), ordinary = measured(pass_in_place), measured(ordinary_step)
    print(f"bytes a value: floor {2 * 2 + 2 * 2}, a pass in place {in_place:.1f}, an ordinary step {ordinary:.1f}")
    print(f"states come back bit for bit: {back}")


if __name__ == "__main__":
    main()
