"""Growth of the state against depth at step size 1, of an untrained and of a trained network; int16 states.

    python scripts/state_growth.py

Networks with two coarsenings and all blocks on levels 1 and 2, on a moving disk of 16 frames, 32 x 48. Growth: largest magnitude
that the state reaches, over that of the opening. Trained: 40 steps of the recommended optimizer on five labelled frames.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from revseg import RevSegNet
from revseg.network.step import training_step
from revseg.training.config import OptimizerConfig
from revseg.training.loss import SegmentationLoss
from revseg.training.optimizer import Optimizer
from revseg.training.schedule import one_cycle

BLOCKS = (4, 16, 64, 128)
LABELLED = (0, 4, 8, 12, 15)


def moving_disk() -> tuple[Tensor, Tensor]:
    """Returns a film (1, 3, 16, 32, 48) uint8 of a textured disk on a textured ground, and its masks (1, 16, 32, 48)."""
    generator = torch.Generator().manual_seed(0)
    t, h, w = torch.meshgrid(torch.arange(16), torch.arange(32), torch.arange(48), indexing="ij")
    inside = (h - 16 - 4 * torch.sin(t / 3)) ** 2 + (w - 12 - 1.5 * t) ** 2 < 49
    ground, disk = (torch.rand(3, 1, 32, 48, generator=generator) * 80 + base for base in (40, 120))
    film = torch.where(inside, disk, ground).to(torch.uint8)
    return film[None], inside[None].to(torch.uint8)


def growth(blocks: int, steps: int) -> tuple[float, float, float]:
    """Returns the growth before and after ``steps`` of training, and the last loss."""
    torch.manual_seed(0)
    quarter = blocks // 4
    net = RevSegNet(
        channels=4, levels=2, depth=(0, quarter, blocks - 2 * quarter), rank=8, step_size=1.0, state_dtype="int16", grid_bits=4
    )
    film, masks = moving_disk()
    labels = masks[:, list(LABELLED)]
    optimizer = Optimizer(net, OptimizerConfig())
    with torch.no_grad():
        start = float(net.opening(((film - 114.75) / 57.375).movedim(1, -1)).abs().amax())
    ranges, loss = [], float("nan")
    for step in range(steps + 1):
        result = training_step(net, film, labels, LABELLED, SegmentationLoss())
        ranges.append(result.state_range / start)
        loss = float(result.loss)
        torch.nn.utils.clip_grad_norm_(optimizer.parameters, 1.0)
        optimizer.step(one_cycle(step / max(1, steps)))
    return ranges[0], max(ranges), loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    print("| blocks | growth untrained | growth trained | last loss |\n|--:|--:|--:|--:|")
    for blocks in BLOCKS:
        try:
            before, after, loss = growth(blocks, arguments.steps)
            print(f"| {blocks} | {before:.1f} | {after:.1f} | {loss:.3f} |", flush=True)
        except OverflowError as error:
            print(f"| {blocks} | out of range: {str(error).split(',')[0]} | | |", flush=True)


if __name__ == "__main__":
    main()
