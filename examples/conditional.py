"""Finds the noise in pictures with blocks that are told how strong it is: every block sees a condition besides its state.

A block whose module takes further inputs is built with ``conditioned=True``; the sequence passes them on. Here the condition is
an embedding of the strength, the same in all blocks, and it is trained: its gradient is summed over the blocks. Printed are the
loss before and after training, with the true strength and with a false one; the gradient of the condition, beside that of plain
autograd; and the inverse, which is exact with the same condition and leads elsewhere with another.

    python examples/conditional.py
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revseg import Block, Coarsen, Leapfrog, Refine, ReversibleSequence

SIZE, CHANNELS, WIDTH, STEPS, BATCH = 32, 4, 16, 60, 16
HALVED = (False, True, True)


class Conditioned(nn.Module):
    """Convolutions, their hidden channels scaled and shifted by the condition: (N, C, H, W), (N, WIDTH) -> (N, C, H, W)."""

    def __init__(self, channels: int, hidden: int = 24) -> None:
        super().__init__()
        self.inwards = nn.Conv2d(channels, hidden, 3, padding=1)
        self.outwards = nn.Conv2d(hidden, channels, 3, padding=1)
        self.modulation = nn.Linear(WIDTH, 2 * hidden)

    def forward(self, y: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, 1)
        return self.outwards(torch.relu(self.inwards(y) * (1 + scale) + shift))


class Denoiser(nn.Module):
    """Estimates the noise of a picture, scaled to variance 1, as diffusion models do."""

    def __init__(self, recompute: bool = True) -> None:
        super().__init__()
        blocks: list[Block] = [Coarsen(HALVED)]
        blocks += [Leapfrog(Conditioned(4 * CHANNELS), step_size=0.5, conditioned=True) for _ in range(4)]
        blocks += [Refine(HALVED)]
        self.embedding = nn.Sequential(nn.Linear(8, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.opening = nn.Conv2d(1, CHANNELS, 1)
        self.sequence = ReversibleSequence(blocks, recompute=recompute)
        self.head = nn.Conv2d(2 * CHANNELS, 1, 1)

    def condition(self, sigma: Tensor) -> Tensor:
        """Maps the strength of the noise (N,) to the condition (N, WIDTH)."""
        waves = sigma[:, None] * math.pi * torch.arange(1, 5)
        return self.embedding(torch.cat([waves.sin(), waves.cos()], 1))

    def forward(self, noisy: Tensor, condition: Tensor) -> Tensor:
        y = self.opening(noisy)
        return self.head(torch.cat(self.sequence(y, y, condition), 1))


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns noisy pictures (count, 1, H, W) of two discs each, their noise of variance 1, and its strength (count,)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    centres, radii = random.uniform(4, 28, (2, 2, count, 1, 1)), random.uniform(4, 9, (2, count, 1, 1))
    discs = np.hypot(x - centres[0], y - centres[1]) < radii
    clean = torch.from_numpy(discs.any(0)[:, None].astype(np.float32))
    sigma = torch.from_numpy(random.uniform(0.2, 1.0, count).astype(np.float32))
    noise = torch.from_numpy(random.standard_normal(clean.shape, dtype=np.float32))
    return clean + sigma[:, None, None, None] * noise, noise, sigma


def train(net: Denoiser) -> None:
    """Trains on pictures with noise of all strengths."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for step in range(STEPS):
        noisy, noise, sigma = pictures(BATCH, seed=step)
        optimizer.zero_grad()
        F.mse_loss(net(noisy, net.condition(sigma)), noise).backward()
        optimizer.step()


@torch.no_grad()
def loss(net: Denoiser, told: float | None = None) -> float:
    """Returns the mean squared error on other pictures; told: a noise level given to the network instead of the true one."""
    noisy, noise, sigma = pictures(64, seed=10**6)
    return float(F.mse_loss(net(noisy, net.condition(sigma if told is None else torch.full_like(sigma, told))), noise))


def gradient_of_condition(net: Denoiser) -> Tensor:
    """Returns the gradient of the loss of a batch for the condition, (N, WIDTH)."""
    noisy, noise, sigma = pictures(BATCH, seed=7)
    condition = net.condition(sigma).detach().requires_grad_()
    return torch.autograd.grad(F.mse_loss(net(noisy, condition), noise), condition)[0]


def main() -> None:
    torch.manual_seed(0)
    net, plain = Denoiser(), Denoiser(recompute=False)
    print(f"loss before training: {loss(net):.4f}")
    train(net)
    print(f"loss after training: {loss(net):.4f}, told a false strength: {loss(net, 0.3):.4f}")
    plain.load_state_dict(net.state_dict())
    ours, theirs = gradient_of_condition(net), gradient_of_condition(plain)
    print(f"gradient of the condition: {ours.norm():.2e}, from plain autograd's by {(ours - theirs).norm() / theirs.norm():.1e}")
    with torch.no_grad():
        noisy, _, sigma = pictures(BATCH, seed=7)
        start, condition = net.sequence.grid.nearest(net.opening(noisy)), net.condition(sigma)
        state = net.sequence(start, start, condition)
        same, other = (net.sequence.inverse(*state, given) for given in (condition, net.condition(1.2 - sigma)))
    print(f"inverse with the same condition is exact: {all(torch.equal(part, start) for part in same)}")
    print(f"inverse with another condition is off by up to {(other[0] - start).abs().max():.3f}")


if __name__ == "__main__":
    main()
