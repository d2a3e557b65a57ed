"""Classifies images with a deep reversible network of one's own convolutions, trained by an ordinary loop.

The blocks hold Conv2d, GroupNorm and ReLU; the Haar transform between them halves H and W and keeps every value. Three results
are printed: the accuracy on images that were not trained on; whether the states of a whole batch come back from the last one bit
for bit; and the bytes that autograd keeps between forward and backward, which do not grow with the number of blocks.

    python examples/image_classification.py
"""

from __future__ import annotations

import weakref

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg import Block, Coarsen, Leapfrog, ReversibleSequence

CLASSES = ("rows", "columns", "diagonals", "dots")
SIZE, CHANNELS, STEPS, BATCH, LR = 32, 4, 30, 24, 1e-2


def picture(kind: str, random: np.random.Generator) -> np.ndarray:
    """Returns one noisy picture (3, H, W) of a texture with a random period, phase and colour."""
    y, x = 2 * np.pi * np.mgrid[:SIZE, :SIZE] / random.uniform(5, 9) + random.uniform(0, 2 * np.pi, (2, 1, 1))
    wave = {"rows": np.sin(y), "columns": np.sin(x), "diagonals": np.sin(0.7 * (x + y)), "dots": np.sin(x) * np.sin(y)}[kind]
    return (random.uniform(0.3, 1, (3, 1, 1)) * wave + random.normal(0, 0.8, (3, SIZE, SIZE))).astype(np.float32)


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Returns pictures (count, 3, H, W) and their classes (count,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(CLASSES), count)
    return torch.from_numpy(np.stack([picture(CLASSES[label], random) for label in labels])), torch.from_numpy(labels)


def convolutions(channels: int, hidden: int = 16) -> nn.Module:
    """Returns what a block holds: any module that keeps the shape (N, C, H, W)."""
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.GroupNorm(4, hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, channels, 3, padding=1),
    )


class Classifier(nn.Module):
    """Opening, reversible sequence, mean over the positions, linear head."""

    def __init__(self, depth: int, recompute: bool = True) -> None:
        super().__init__()
        blocks: list[Block] = []
        for level in (1, 2):
            blocks += [Coarsen((False, True, True))]
            blocks += [Leapfrog(convolutions(CHANNELS * 4**level), step_size=0.5) for _ in range(depth)]
        self.opening = nn.Conv2d(3, CHANNELS, 1)
        self.sequence = ReversibleSequence(blocks, recompute=recompute)
        self.head = nn.Linear(2 * CHANNELS * 16, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        y = self.opening(images)
        return self.head(torch.cat(self.sequence(y, y), 1).abs().mean((2, 3)))


def kept_bytes(net: nn.Module, images: Tensor) -> int:
    """Returns the bytes, weights left out, that autograd keeps from the forward pass for the backward pass."""
    weights = {part.untyped_storage().data_ptr() for part in net.parameters()}
    seen: list[weakref.ref[Tensor]] = []

    def pack(tensor: Tensor) -> Tensor:
        seen.append(weakref.ref(part := tensor.detach()))
        return part

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = net(images).sum()
    storages = {tensor.untyped_storage() for tensor in (reference() for reference in seen) if tensor is not None}
    del loss
    return sum({part.data_ptr(): part.nbytes() for part in storages if part.data_ptr() not in weights}.values())


def train(net: nn.Module) -> float:
    """Trains on pictures and returns the accuracy on others."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=STEPS)
    for step in range(STEPS):
        images, labels = pictures(BATCH, seed=step)
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    images, labels = pictures(256, seed=10**6)
    with torch.no_grad():
        return float((net(images).argmax(1) == labels).float().mean())


def main() -> None:
    torch.manual_seed(0)
    net = Classifier(depth=2)
    print(f"accuracy on 256 other pictures: {train(net):.3f}")
    images, _ = pictures(BATCH, seed=7)
    with torch.no_grad():
        start = net.sequence.grid.nearest(net.opening(images))
        back = net.sequence.inverse(*net.sequence(start, start))
    print(f"states come back bit for bit: {all(torch.equal(state, start) for state in back)}")
    for depth in (2, 8):
        ours, plain = (kept_bytes(Classifier(depth, recompute), images) / 2**20 for recompute in (True, False))
        print(f"kept for the backward pass, {2 * depth} blocks: {ours:.1f} MiB reversible, {plain:.1f} MiB plain autograd")


if __name__ == "__main__":
    main()
