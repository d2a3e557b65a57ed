"""Small sequences, starts and losses that the tests of ReversibleSequence share."""

import torch

from revseg.reversible.block import Coarsen, Leapfrog, Refine
from revseg.reversible.grid import DEFAULT_BITS, Grid
from revseg.reversible.layer import SymmetricLayer
from revseg.reversible.sequence import ReversibleSequence
from tests import plain_network

FLOAT64 = Grid(torch.float64, None)


def build(
    depths,
    channels=2,
    rank=3,
    size=3,
    halves_time=None,
    grid=FLOAT64,
    convolution=torch.float64,
    step_size=0.5,
    adjoint=None,
    slab_bytes=None,
    scale=2.0,
):
    """Down and up the levels, ``depths[l]`` blocks on each way; random biases and kernels of norm above 1."""
    torch.manual_seed(0)
    halves_time = halves_time or (True,) * (len(depths) - 1)
    blocks, width = [], channels

    def leapfrogs(count):
        blocks.extend(Leapfrog(SymmetricLayer(width, rank, size), step_size) for _ in range(count))

    for level, halve_time in enumerate(halves_time):
        leapfrogs(depths[level])
        blocks.append(Coarsen((halve_time, True, True)))
        width *= 8 if halve_time else 4
    leapfrogs(depths[-1])
    for level in reversed(range(len(halves_time))):
        blocks.append(Refine((halves_time[level], True, True)))
        width //= 8 if halves_time[level] else 4
        leapfrogs(depths[level])
    adjoint = adjoint or (torch.float64 if grid.dtype == torch.float64 else torch.float32)
    sequence = ReversibleSequence(
        blocks,
        grid=grid,
        convolution_dtype=convolution,
        adjoint_dtype=adjoint,
        slab_bytes=slab_bytes,
    )
    with torch.no_grad():
        for layer in layers_of(sequence):
            layer.kernel.mul_(scale)
            layer.bias.normal_(std=0.1)
    return sequence.double() if grid.dtype == torch.float64 else sequence


def layers_of(sequence):
    """The symmetric layers in the order in which they are applied."""
    return [block.layer for block in sequence.blocks if isinstance(block, Leapfrog)]


def begun(sequence, curr, **settings):
    """A pass over a state with fields (N, C, T, H, W) like ``curr``."""
    return sequence.begin(curr.numel() * sequence.grid.dtype.itemsize, device=curr.device, **settings)


def exact(container):
    return Grid(container, DEFAULT_BITS[container])


def start(sequence, shape, seed=1, dtype=None):
    """A state on the grid that hardly moves at first, so that 64 blocks do not carry it out of range."""
    generator = torch.Generator().manual_seed(seed)
    prev = torch.randn(shape, generator=generator, dtype=torch.float64)
    curr = prev + 0.01 * torch.randn(shape, generator=generator, dtype=torch.float64)
    dtype = dtype or (torch.float64 if sequence.grid.dtype == torch.float64 else torch.float32)
    return tuple(sequence.grid.load(sequence.grid.store(part), torch.float64).to(dtype) for part in (prev, curr))


def plain(sequence, prev, curr, depths, halves_time, step_size=0.5):
    layers = [(layer.kernel, layer.bias) for layer in layers_of(sequence)]
    return plain_network.sequence(prev, curr, layers, depths, halves_time, step_size)


def loss_of(prev, curr):
    """Not linear, and different in the two fields."""
    return prev.sin().mul(torch.linspace(0.5, 1.5, prev.shape[-1], dtype=prev.dtype)).sum() + (curr * curr).sum() / 2


def gradients(sequence, outputs, inputs):
    return torch.autograd.grad(loss_of(*outputs), (*inputs, *sequence.parameters()))
