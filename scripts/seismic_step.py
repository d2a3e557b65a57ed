"""Peak memory of one training step of the authors' network for 3D seismic data, the whole volume at once, on a CPU.

    python scripts/seismic_step.py --page docs/results/seismic.md    # 248 x 248 x 248 with 12 channels
    python scripts/seismic_step.py --side 64 --channels 2

The network (Peters, Haber, "Fully invertible hyperbolic neural networks for segmenting large-scale surface and sub-surface
data", AIiG 5, 2024): three coarsenings, 12 channels at first and 6144 at last, ranks 8, 16, 32, 32 by level, h^2 = 0.04. It has
30 blocks and level changes; 1, 3, 3 blocks on each way and 10 on the coarsest level give the bytes of kernels that the authors
print, full and block-low-rank. Labels: all depths of 8 columns, two classes with equal weights, all else unknown.

The step: opening, forward pass, head and loss on the labelled columns, adjoint pass, gradients of all weights. States are int16,
adjoints bfloat16, the input uint8. Kernels are normalised one block at a time, and gradients pass through the norm one block at a
time: the weights exist twice, with their gradients, and nothing else of their size does.

    predicted = 2 states (2 bytes) + 2 adjoints (2 bytes) + weights and gradients (8 bytes) + input (1 byte) + largest temporaries

Measured: the process's resident size, its peak above that after the imports; the synthetic volume is part of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from harness import arguments, machine
from harness.memory import Footprint
from harness.page import table, write_section
from torch import Tensor, nn

from revseg.network.network import fast_convolution_dtype, normalise
from revseg.reversible.block import Block, Coarsen, Leapfrog, Operands, Refine, layout_of
from revseg.reversible.context import Context
from revseg.reversible.force.choice import temporary_bytes
from revseg.reversible.grid import Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.run import Run
from revseg.reversible.sequence import ReversibleSequence
from revseg.reversible.state import State

CLASSES, COLUMNS = 2, 8
DEPTHS, RANKS, STEP_SIZE = (1, 3, 3, 10), (8, 16, 32, 32), 0.2
SLAB_BYTES = 144 << 20
# Values of up to 2.3 grow by up to 22.6 = 8^1.5 on the way to the coarsest level: 128 is enough.
GRID_BITS = 8


@dataclass
class Network:
    """The opening, the blocks and the head, with how far a pass has come."""

    opening: nn.Linear
    sequence: ReversibleSequence
    head: nn.Linear

    @classmethod
    def new(cls, channels: int, slab_bytes: int = SLAB_BYTES) -> Network:
        sequence = ReversibleSequence(
            list(blocks(channels)),
            grid=Grid(torch.int16, GRID_BITS),
            convolution_dtype=fast_convolution_dtype(),
            adjoint_dtype=torch.bfloat16,
            slab_bytes=slab_bytes,
        )
        opening, head = nn.Linear(channels, channels), nn.Linear(2 * channels, CLASSES)
        nn.init.eye_(opening.weight)
        nn.init.zeros_(opening.bias)
        return cls(opening, sequence, head)

    def parameters(self) -> Iterator[nn.Parameter]:
        for part in (self.opening, self.sequence, self.head):
            yield from part.parameters()


def blocks(channels: int) -> Iterator[Block]:
    """Yields the blocks: down, the coarsest level, and up again; channels: on level 0."""
    coarsest = len(DEPTHS) - 1
    for level in range(coarsest):
        yield from leapfrogs(channels, level)
        yield Coarsen()
    yield from leapfrogs(channels, coarsest)
    for level in reversed(range(coarsest)):
        yield Refine()
        yield from leapfrogs(channels, level)


def leapfrogs(channels: int, level: int) -> list[Leapfrog]:
    return [Leapfrog(SymmetricLayer(channels * 8**level, RANKS[level]), STEP_SIZE) for _ in range(DEPTHS[level])]


@dataclass
class Normalised(Sequence[Operands]):
    """The operands of each block, computed when they are asked for: the normalised kernels never exist all at once.

    The norm gives the same bits each time, so the inverse stays exact.
    """

    blocks: Sequence[Block]
    progress: Progress

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return Normalised(self.blocks[index], self.progress)
        self.progress.say(f"block {index}")
        return tuple(part.detach() for part in self.blocks[index].operands())


@dataclass
class Progress:
    """Tells the time and the peak so far."""

    footprint: Footprint
    quiet: bool = False
    start: float = field(default_factory=time.monotonic)
    peaks: dict[str, int] = field(default_factory=dict)
    """Peak of the step up to the end of each part."""

    def say(self, what: str) -> None:
        if not self.quiet:
            peak = self.footprint.so_far() or 0
            print(f"{time.monotonic() - self.start:6.0f} s, peak {peak / 1e6:5.0f} MB: {what}", flush=True)

    def ends(self, part: str) -> None:
        self.peaks[part] = self.footprint.so_far() or 0
        self.say(part)


@dataclass(frozen=True)
class Labels:
    """Classes (COLUMNS, depth) of all depths at some positions of the first two axes."""

    first: Tensor
    second: Tensor
    classes: Tensor


def new_volume(side: int, channels: int) -> tuple[Tensor, Labels]:
    """Returns layers that bend, with noise, (T, H, W, C) uint8, and the labels of COLUMNS columns: the class of each layer."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.empty(side, side, side, channels, dtype=torch.uint8)
    axis = torch.linspace(0, 1, side)
    waves = torch.arange(1, channels + 1) * 4.0
    for inline, frame in zip(axis, volume, strict=True):
        depth = axis + 0.1 * torch.sin(5 * axis[:, None] + 4 * inline)
        noise = torch.randn(side, side, channels, generator=generator)
        frame.copy_((128 + 60 * torch.sin(waves * depth[..., None]) + 15 * noise).clamp_(0, 255))
    first, second = (torch.randint(side, (COLUMNS,), generator=generator) for _ in range(2))
    depth = axis + 0.1 * torch.sin(5 * axis[second] + 4 * axis[first])[:, None]
    return volume, Labels(first, second, classes=(depth > 0.5).long())


def balanced(logits: Tensor, classes: Tensor) -> Tensor:
    """Returns the cross-entropy, 0-d, in which both classes weigh the same."""
    weights = 1 / (torch.bincount(classes, minlength=CLASSES).clamp(min=1) * CLASSES)
    return nn.functional.cross_entropy(logits, classes, weight=weights, reduction="sum")


def training_step(net: Network, volume: Tensor, labels: Labels, progress: Progress) -> tuple[float, bool]:
    """Adds the gradients of all weights; returns the loss, and whether the adjoint pass came back to the opening bit for bit."""
    grid = net.sequence.grid
    operands = Normalised(tuple(net.sequence.blocks), progress)  # type: ignore[arg-type]
    opened = open_(net, volume)
    run = net.sequence.begin(opened.nbytes, device=opened.device)
    state = run.open_(opened, grid)
    del opened
    progress.ends("opening")
    run.forward_(state, operands)
    progress.ends("forward pass")
    loss, adjoint = loss_and_adjoint(net, state, labels)
    carry_back(net, run, state, adjoint=adjoint, operands=operands)
    progress.ends("adjoint pass")
    frames = zip(state.partner[0], state.curr[0], strict=True)
    inverted = all(torch.equal(*pair) for pair in frames)
    state.partner = adjoint.curr = torch.empty(0)
    return loss, close_(net, volume, state.curr[0], gradient=adjoint.partner[0]) and inverted


@torch.no_grad()
def open_(net: Network, volume: Tensor) -> Tensor:
    """Returns the opening of a volume on the grid, (1, T, H, W, C), a frame at a time."""
    opened = torch.empty(1, *volume.shape, dtype=net.sequence.grid.dtype)
    for frame, stored in zip(volume, opened[0], strict=True):
        stored.copy_(net.sequence.grid.store(net.opening(normalise(frame))))
    return opened


def loss_and_adjoint(net: Network, state: State, labels: Labels) -> tuple[float, State]:
    """Returns the loss of the labelled columns and its adjoint, zero elsewhere; adds the head's gradients."""
    at = (slice(None), labels.first, labels.second)
    inputs = torch.cat(state.values(torch.float32, lambda fields: fields[at]), -1).requires_grad_()
    loss = balanced(net.head(inputs).flatten(0, -2), labels.classes.flatten())
    loss.backward()
    assert inputs.grad is not None
    g_prev, g_curr = inputs.grad.to(net.sequence.adjoint_dtype).chunk(2, -1)
    velocity = torch.zeros(state.curr.shape, dtype=net.sequence.adjoint_dtype)
    u = torch.zeros_like(velocity)
    for column, where in enumerate(zip(labels.first, labels.second, strict=True)):
        velocity[0][where] += (g_prev + g_curr)[0, column]
        u[0][where] += g_curr[0, column]
    return float(loss.detach()), State(velocity, u, Grid(velocity.dtype, None))


def carry_back(net: Network, run: Run, state: State, *, adjoint: State, operands: Normalised) -> None:
    """Carries the adjoint back to the opening and adds the gradients of the blocks' weights, block after block."""
    counts = [len(list(block.parameters())) for block in run.blocks]
    gradients = run.adjoint_(state, adjoint, operands, needs=[(True,) * count for count in counts])
    for block in reversed(run.blocks):
        found = gradients.pop()
        if found:
            torch.autograd.backward(block.operands(), found)


def close_(net: Network, volume: Tensor, y: Tensor, gradient: Tensor) -> bool:
    """Adds the opening's gradients, a frame at a time; returns whether y is the opening again, bit for bit."""
    same = True
    for frame, stored, adjoint in zip(volume, y, gradient, strict=True):
        opened = net.opening(normalise(frame))
        same &= torch.equal(net.sequence.grid.store(opened.detach()), stored)
        opened.backward(adjoint.float())
    return same


def predicted(net: Network, side: int) -> dict[str, int]:
    """Returns bytes by purpose."""
    elements = net.head.in_features // 2 * side**3
    weights = sum(weight.nbytes for weight in net.parameters())
    sequence = net.sequence
    return {
        "states": 2 * elements * sequence.grid.dtype.itemsize,
        "adjoints": 2 * elements * sequence.adjoint_dtype.itemsize,
        "weights and gradients": 2 * weights,
        "input": elements,
        "temporaries": max(
            temporaries(sequence, block.layer, elements) for block in sequence.blocks if isinstance(block, Leapfrog)
        ),
    }


def temporaries(sequence: ReversibleSequence, layer: nn.Module, elements: int) -> int:
    """Returns the bytes of a slab's temporaries and of one layer's kernels: normalised, its gradient, prepared twice."""
    assert isinstance(layer, SymmetricLayer)
    budget = sequence.slab_budget(2 * elements, torch.device("cpu"))
    layout = layout_of(layer, sequence.grid, Context(sequence.convolution_dtype, sequence.adjoint_dtype, budget))
    side = round((elements / layer.channels) ** (1 / 3))
    slab = temporary_bytes(layout, (side, side, side, layer.channels), budget=budget, device_type="cpu", training=True)
    return slab + 4 * layer.kernel.nbytes


def main() -> None:
    given = parse()
    torch.manual_seed(0)
    footprint = Footprint(torch.device("cpu"), live=True)
    progress = Progress(footprint, quiet=given.quiet)
    net = Network.new(given.channels)
    volume, labels = new_volume(given.side, given.channels)
    progress.ends("making of weights and volume")
    loss, inverted = training_step(net, volume, labels, progress)
    progress.ends("opening's gradient")
    seconds, peak = time.monotonic() - progress.start, footprint.peak()
    if peak is None:
        raise OSError("the peak of a process is read from Linux's /proc, which is not there")
    if not inverted or not all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters()):
        raise ArithmeticError("the adjoint pass did not come back to the opening, or a gradient is not finite")
    print(f"loss {loss:.4f}, {seconds:.0f} s, the opening again bit for bit\n")
    text = section(predicted(net, given.side), progress, given, seconds=seconds, before=footprint.before)
    print(text)
    if given.page is not None:
        write_section(given.page, "seismic_step", f"side {given.side} with {given.channels} channels", text)


def section(expected: dict[str, int], progress: Progress, given: argparse.Namespace, *, seconds: float, before: int) -> str:
    """Returns what a page says of one step."""
    peak, floor = max(progress.peaks.values()), expected["states"] + expected["adjoints"]
    rows = [
        *((f"predicted: {name}", size) for name, size in expected.items()),
        ("predicted: states and adjoints together", floor),
        ("predicted: all", sum(expected.values())),
        *((f"measured: peak until the end of the {part}", size) for part, size in progress.peaks.items()),
        ("**measured: the whole step, above the process after its imports**", peak),
        ("measured: the whole process", before + peak),
    ]
    facts = machine.lines(machine.facts("cpu", torch.get_num_threads()))
    words, size = f"--side {given.side} --channels {given.channels}", " x ".join([str(given.side)] * 3)
    command = f"- command: `python scripts/seismic_step.py {words}`; {seconds:.0f} s, beside other work\n"
    head = f"### {size} with {given.channels} channels\n\n{facts}{command}\n"
    return head + table(("bytes", "MB (10^6)"), [(name, f"{size / 1e6:.1f}") for name, size in rows])


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--side", type=int, default=248, help="of the cube, divisible by 8 (default: 248)")
    parser.add_argument("--channels", type=int, default=12, help="of the volume, and of level 0 (default: 12)")
    parser.add_argument("--quiet", action="store_true", help="say nothing of each block")
    parser.add_argument("--page", type=Path, help="Markdown page whose section is written (default: none)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
