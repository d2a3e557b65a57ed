"""Fields, weights and passes that the tests of the forces share."""

import torch

from revseg.reversible.activation import activation_of
from revseg.reversible.force.force import Layout
from revseg.reversible.grid import Grid
from revseg.reversible.state import State

DOUBLE = Grid(torch.float64, None)


def weights(rank, channels, size, seed=0):
    """kernel and bias, float64."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(rank, channels, *size, generator=generator, dtype=torch.float64)
    bias = torch.randn(rank, generator=generator, dtype=torch.float64)
    return 0.5 * kernel / kernel[0].numel() ** 0.5, bias


def layout_of(kernel, dtype=torch.float64, grid=DOUBLE, adjoint=torch.float32, activation="relu"):
    rank, channels, *size = kernel.shape
    return Layout(
        channels=channels,
        rank=rank,
        kernel_size=tuple(size),
        activation=activation_of(activation),
        convolution_dtype=dtype,
        grid=grid,
        adjoint_dtype=adjoint,
    )


def fields(channels, grid=None, frames=5, seed=2, shape=(7, 6)):
    """partner and curr of a state, velocity and u of an adjoint, (T, H, W, C)."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(4, frames, *shape, channels, generator=generator, dtype=torch.float64)
    return [*map(grid.store, values[:2]), *values[2:].float()] if grid else list(values)


def passes(force, start, grid, keep=None, budget=0):
    """Everything that a kick and the adjoint that takes it back write or return, of one sample."""
    partner, curr, velocity, u = (part[None].clone() for part in start)
    state, adjoint = State(partner, curr, grid), State(velocity, u, Grid(velocity.dtype, None))
    force.kick_(state, budget, keep=keep)
    kicked = state.partner.clone()
    gradients = force.adjoint_(state, adjoint, budget, needs=(True, True), kept=keep)
    reached = [] if state.range is None else [state.range]
    fields = [kicked, state.partner, state.curr, adjoint.partner, adjoint.curr]
    return [*(part[0] for part in fields), *gradients, *reached]
