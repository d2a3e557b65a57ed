"""Peak memory of one gradient against side, layers and coarsenings: the three panels of the authors' figure, measured.

    python scripts/memory_figure.py    # into runs/memory_figure, docs/images/memory_figure.png, docs/results/memory_figure.md
    python scripts/memory_figure.py --sides 32,64 --layers 7 --levels 2 --page runs/figure.md --picture runs/figure.png

Four networks of C = 4 channels and Haar coarsenings, with the same blocks, float32 states and adjoints:

    plain        autograd stores activations (recompute=False); block-low-rank kernels
    levels       reversible within levels only, the state at each change of level is stored; block-low-rank kernels
    full         reversible as a whole, full kernels: rank = channels
    low rank     reversible as a whole, block-low-rank kernels, rank 8

Layers are spread evenly over the 2 L + 1 visits to levels of a network with L coarsenings. Kernels are used as they are: the
bound of their norm would need a Gram matrix of 27 C x 27 C for a full kernel.

Kernels: bytes of the weights and of their gradients, counted. States: the peak of the process above that before the step, weights
apart, less the gradients. Theory, with E = C side^3 elements of a field, r and C_l of each block, 4 bytes an element:

    kernels      8 sum over blocks of r (27 C_l + 1)
    plain        4 E (4 + sum over blocks of (1 + r / C_l))        input, gradient; of each block input, hidden layer
    levels       4 E (2 (2 L + 1) + 2) + slab + 3 k                a state for each visit, the adjoint, temporaries
    the others   4 E (2 + 2) + slab + 3 k                          state, adjoint, temporaries
    slab         at most max(16 MB, 4 E)
    k            the largest kernel, of which its block has three copies while it is computed

A case that would take more than 60 % of the free memory or about a minute is theory only. A second call measures only what is
missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from harness import ROOT, arguments, machine
from harness.memory import Footprint
from harness.page import table, write_section
from harness.process import Reply, run
from harness.results import Results
from torch import Tensor, nn

from revseg.device import free_memory
from revseg.reversible.block import Block, Coarsen, Leapfrog, Refine
from revseg.reversible.grid import Grid
from revseg.reversible.haar import coarsened, refined
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence

CHANNELS, RANK, STEP_SIZE = 4, 8, 0.25
CURVES = ("plain", "levels", "full", "low rank")
LEGEND = ("plain autograd", "reversible within levels", "reversible, full kernels", "reversible, block-low-rank (this network)")
ALL_AXES = (True, True, True)
# A rough rate of one thread, operations a second, and the longest time of a case.
RATE, SECONDS, SHARE = 2.5e10, 60, 0.6
LEAST_SLAB, SLAB_OF_FIELD = 16 << 20, 9  # on level 0 the temporaries of a whole field are 9 fields


@dataclass(frozen=True)
class Case:
    """One network and the cube that it is given."""

    curve: str
    side: int = 64
    layers: int = 7
    levels: int = 2

    def depths(self) -> list[int]:
        """Blocks on each level, on each way."""
        each = self.layers // (2 * self.levels + 1)
        return [each] * self.levels + [self.layers - 2 * self.levels * each]

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yields channels and rank of each block."""
        for level, depth in enumerate(self.depths()):
            channels = CHANNELS * 8**level
            rank = channels if self.curve == "full" else RANK
            yield from [(channels, rank)] * (depth * (1 if level == self.levels else 2))

    def field(self) -> int:
        """Bytes of one float32 field."""
        return 4 * CHANNELS * self.side**3

    def kernels(self) -> int:
        """Bytes of the weights and their gradients."""
        return sum(8 * rank * (27 * channels + 1) for channels, rank in self.blocks())

    def states(self) -> float:
        """Bytes of everything else, by theory."""
        if self.curve == "plain":
            return self.field() * (4 + sum(1 + rank / channels for channels, rank in self.blocks()))
        fields = (2 * (2 * self.levels + 1) if self.curve == "levels" else 2) + 2
        return fields * self.field() + self.slab() + 3 * self.largest_kernel()

    def largest_kernel(self) -> int:
        return max(4 * rank * 27 * channels for channels, rank in self.blocks())

    def slab(self) -> int:
        """Bytes of the temporaries of a slab: as much as a field."""
        return min(max(LEAST_SLAB, self.field()), SLAB_OF_FIELD * self.field())

    def fits(self, memory: float) -> bool:
        """Whether the case takes no more than its share of the memory, with much to spare, nor than its time."""
        operations = sum(8 * 54 * rank * self.field() / 4 for _, rank in self.blocks())
        return 2 * self.states() + self.kernels() < SHARE * memory and operations < RATE * SECONDS


class PlainLayer(SymmetricLayer):
    """A symmetric layer whose kernel is used as it is."""

    def normalised_kernel(self) -> Tensor:
        return self.kernel


class WithinLevels(nn.Module):
    """Reversible on each level; ordinary autograd changes the level, so the state that each level ends with stays."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        depths = case.depths()
        visits = [*range(case.levels), *reversed(range(case.levels + 1))]
        self.visits = nn.ModuleList([sequence_of(case, leapfrogs(case, level, depths[level])) for level in visits])
        self.levels = case.levels

    def forward(self, prev: Tensor, curr: Tensor) -> tuple[Tensor, Tensor]:
        for number, visit in enumerate(self.visits):
            prev, curr = visit(prev, curr)
            if number < 2 * self.levels:
                change = coarsened if number < self.levels else refined
                prev, curr = change(prev, ALL_AXES), change(curr, ALL_AXES)
        return prev, curr


def leapfrogs(case: Case, level: int, depth: int) -> list[Block]:
    channels = CHANNELS * 8**level
    layers = [PlainLayer(channels, channels if case.curve == "full" else RANK) for _ in range(depth)]
    for layer in layers:  # rows of norm 1/2: full kernels stay below an operator norm of 2
        nn.init.normal_(layer.kernel, std=0.5 * (27 * channels) ** -0.5)
    return [Leapfrog(layer, STEP_SIZE) for layer in layers]


def network(case: Case) -> ReversibleSequence:
    """Returns the blocks of a case in one sequence."""
    depths, down, up = case.depths(), [], []
    for level in range(case.levels):
        down += [*leapfrogs(case, level, depths[level]), Coarsen()]
        up = [Refine(), *leapfrogs(case, level, depths[level]), *up]
    return sequence_of(case, [*down, *leapfrogs(case, case.levels, depths[-1]), *up])


def sequence_of(case: Case, blocks: list[Block]) -> ReversibleSequence:
    return ReversibleSequence(blocks, grid=Grid(), slab_bytes=max(LEAST_SLAB, case.field()), recompute=case.curve != "plain")


def measured(given: dict[str, Any]) -> Reply:
    """Measures one case, after a first one in small that loads what is loaded once."""
    case = Case(**given)
    gradient(replace(case, side=8, layers=3, levels=1))
    return gradient(case)


def gradient(case: Case) -> Reply:
    """Computes the gradients of all weights once; returns the bytes of kernels and states."""
    torch.manual_seed(0)
    net = WithinLevels(case) if case.curve == "levels" else network(case)
    start = time.monotonic()
    footprint = Footprint(torch.device("cpu"), live=True)
    if isinstance(net, ReversibleSequence) and net.recompute:
        in_place(net, case)
    else:
        y = random_field(case).permute(0, 4, 1, 2, 3)
        torch.stack([part.square().mean() for part in net(y, y)]).sum().backward()
    peak = footprint.peak()
    if peak is None:
        raise OSError("the peak of a process is read from Linux's /proc, which is not there")
    gradients = sum(weight.grad.nbytes for weight in net.parameters() if weight.grad is not None)
    weights = sum(weight.nbytes for weight in net.parameters())
    return {"kernels": weights + gradients, "states": peak - gradients, "seconds": time.monotonic() - start}


def in_place(net: ReversibleSequence, case: Case) -> None:
    """Adds the gradients of the mean square of the last state, in the memory of state and adjoint, as a training step does."""
    field = random_field(case)
    run = net.begin(field.nbytes, device=field.device)
    state = run.open_(net.grid.store(field), net.grid)
    del field
    operands = net.operands()
    fixed = net.detached()
    run.forward_(state, fixed)
    adjoint = run.adjoint_of(state.curr, (None, None))
    parts = zip(adjoint.curr[0], adjoint.partner[0], state.curr[0], state.partner[0], strict=True)
    for u, velocity, curr, prev in parts:  # frame by frame: d/dcurr, and d/dcurr + d/dprev
        u.copy_(net.grid.load(curr)).mul_(2 / state.curr.numel())
        velocity.copy_(net.grid.load(prev)).mul_(2 / state.curr.numel()).add_(u)
    found = run.adjoint_(state, adjoint, fixed, to_start=True)
    for own in reversed(operands):  # each gradient goes once it is added: a weight's own is a copy
        gradients = found.pop()
        if own:
            torch.autograd.backward(own, gradients)


def random_field(case: Case) -> Tensor:
    """Returns noise (1, T, H, W, C)."""
    return torch.randn(1, *(case.side,) * 3, CHANNELS, generator=torch.Generator().manual_seed(1))


Panels = dict[str, tuple[str, list[Case]]]


def panels_of(given: argparse.Namespace) -> Panels:
    """Returns the cases of each panel, by the name of its axis, with the field of Case that varies."""
    sides = [Case(curve, side=side) for curve in CURVES for side in given.sides]
    layers = [Case(curve, side=given.side, layers=count) for curve in CURVES for count in given.layers]
    deepest = 2 * max(given.levels) + 1
    levels = [Case(curve, side=given.side, layers=deepest, levels=count) for curve in CURVES for count in given.levels]
    return {"side of the volume": ("side", sides), "layers": ("layers", layers), "coarsenings": ("levels", levels)}


def main() -> None:
    given = parse()
    panels, memory = panels_of(given), free_memory(torch.device("cpu"))
    facts = machine.facts("cpu", torch.get_num_threads())
    results = Results(given.output, {"machine": facts}, fresh=given.fresh)
    for case in dict.fromkeys(case for _, cases in panels.values() for case in cases):
        if case.fits(memory) and results.get(key(case)) is None:
            reply = run(measured, asdict(case), log=given.output / "logs" / f"{key(case)}.txt", device="cpu")
            if "error" in reply:
                raise SystemExit(f"memory_figure: {key(case)}: {reply['error']}")
            print(
                f"{key(case)}: {reply['states'] / 1e6:.1f} and {reply['kernels'] / 1e6:.1f} MB, {reply['seconds']:.0f} s",
                flush=True,
            )
            results.keep(key(case), reply)
    found = {case: results.get(key(case)) for _, cases in panels.values() for case in cases}
    text = section(panels, found, machine.lines(facts))
    print(text)
    draw(given.picture, panels, found)
    write_section(given.page, "memory_figure", "three panels", text)


def key(case: Case) -> str:
    return f"{case.curve.replace(' ', '_')}-{case.side}-{case.layers}-{case.levels}"


Found = dict[Case, dict[str, Any] | None]


def section(panels: Panels, found: Found, facts: str) -> str:
    """Returns a table for each panel."""
    parts = [f"{facts}- command: `python scripts/memory_figure.py`\n"]
    header = ("", "network", "states, MB", "theory, MB", "kernels, MB", "theory, MB")
    for axis, (name, cases) in panels.items():
        fixed = ", ".join(f"{word} {getattr(cases[0], word)}" for word in ("side", "layers", "levels") if word != name)
        rows = []
        for case in sorted(cases, key=lambda case: getattr(case, name)):
            reply = found[case]
            states, kernels = (f"{reply[part] / 1e6:.1f}" if reply else "theory only" for part in ("states", "kernels"))
            rows.append(
                (getattr(case, name), case.curve, states, f"{case.states() / 1e6:.1f}", kernels, f"{case.kernels() / 1e6:.1f}")
            )
        parts.append(f"### By {axis} ({fixed})\n\n{table((name, *header[1:]), rows, words=2)}\n")
    return "\n".join(parts)


def draw(path: Path, panels: Panels, found: Found) -> None:
    """Draws states above kernels, a column for each panel: measured with marks, theory as thin lines."""
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(15, 8), layout="constrained")
    grid = figure.subplots(2, len(panels), squeeze=False)
    for column, (axis, (name, cases)) in enumerate(panels.items()):
        for row, part in enumerate(("states", "kernels")):
            panel = grid[row][column]
            for number, curve in enumerate(CURVES):
                own = sorted((case for case in cases if case.curve == curve), key=lambda case: getattr(case, name))
                places = [getattr(case, name) for case in own]
                panel.plot(places, [getattr(case, part)() / 1e6 for case in own], color=f"C{number}", linewidth=0.7)
                marks = [(getattr(case, name), found[case][part] / 1e6) for case in own if found[case]]  # type: ignore[index]
                if marks:
                    panel.plot(
                        *zip(*marks, strict=True), color=f"C{number}", marker="osvD"[number], linewidth=2, label=LEGEND[number]
                    )
            what = ("states and all else", "kernels and their gradients")[row]
            panel.set(xlabel=axis, ylabel=f"{what}, MB", yscale="log")
            largest = max((found[case][part] / 1e6 for case in cases if found[case]), default=1.0)  # type: ignore[index]
            panel.set_ylim(top=min(panel.get_ylim()[1], 100 * largest))
            panel.yaxis.set_major_formatter("{x:,g}")
            panel.yaxis.set_minor_formatter("")
            panel.grid(alpha=0.3)
            panel.legend(fontsize=8)
    figure.suptitle("Peak of one gradient: measured (thick, with marks) and theory (thin)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def parse() -> argparse.Namespace:
    parser = arguments.parser(__doc__)
    parser.add_argument("--sides", type=arguments.numbers, default=[48, 64, 96, 128, 192, 256, 500], help="default: 48 to 500")
    parser.add_argument("--layers", type=arguments.numbers, default=[5, 10, 25, 50, 100], help="default: 5,10,25,50,100")
    parser.add_argument("--levels", type=arguments.numbers, default=[1, 2, 3, 4, 5, 6], help="default: 1,2,3,4,5,6")
    parser.add_argument("--side", type=int, default=64, help="in the panels of layers and coarsenings (default: 64)")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "memory_figure", help="folder of the measured cases")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results" / "memory_figure.md")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "memory_figure.png")
    parser.add_argument("--fresh", action="store_true", help="forget the measured cases")
    return parser.parse_args()


if __name__ == "__main__":
    main()
