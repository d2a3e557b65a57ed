"""A sequence of reversible blocks as one autograd function.

It keeps only the final state. The backward pass undoes block after block, and at each block recomputes what its adjoint
needs from the state just recovered: 8 convolutions per block and step, and memory that does not grow with depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from revseg.reversible.block import Coarsen, Layer, Leapfrog, Refine, State
from revseg.reversible.grid import Grid
from revseg.reversible.heap import release_freed
from revseg.reversible.kernels import dispatch
from revseg.reversible.layer import PreparedLayer, SymmetricLayer
from revseg.reversible.wide import WideLayer, is_wide

Block = Leapfrog | Coarsen | Refine
Kept = dict[int, list[list[Tensor]]]
"""By the index of a layer: relu(K y + b) of each sample, slab by slab, in the dtype of the convolutions."""

# Least and most bytes of one slab's temporaries: small beside the states, large enough that halos cost little and that all
# cores of a GPU have work.
SLAB_BYTES = {"cpu": (48 << 20, 48 << 20), "cuda": (32 << 20, 256 << 20)}
SLAB_SHARE = 1 / 4
"""Share of one of the state's two fields that a slab's temporaries take, between these bounds."""


# cuDNN must take the same kernels in every pass: its autotuner may change its mind between a forward pass and the inverse.
_same_kernels = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def default_slab_bytes(device: str, field_bytes: int) -> int:
    """Bytes of a slab's temporaries beside a state whose fields, prev and curr, take ``field_bytes`` each. device: its type."""
    least, most = SLAB_BYTES.get(device, SLAB_BYTES["cpu"])
    return min(max(int(SLAB_SHARE * field_bytes), least), most)


class ReversibleSequence(nn.Module):
    """Runs blocks forwards, inverts them, or carries an adjoint back through them.

    layers: the symmetric layers, used by the ``Leapfrog`` blocks through their index.
    grid: the grid of states that are made here; a state that is passed in keeps its own.
    slab_bytes: budget of one slab's temporaries; None: ``default_slab_bytes``.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        layers: Sequence[SymmetricLayer],
        *,
        step_size: float,
        grid: Grid,
        convolution_dtype: torch.dtype,
        adjoint_dtype: torch.dtype,
        slab_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.layers = nn.ModuleList(layers)
        self.step_size, self.grid = step_size, grid
        self.convolution_dtype, self.adjoint_dtype = convolution_dtype, adjoint_dtype
        self.slab_bytes = slab_bytes

    def forward(self, prev: Tensor, curr: Tensor) -> tuple[Tensor, Tensor]:
        """Runs a state through all blocks, under autograd: (N, C, T, H, W) values, divisible sizes.

        Exact arithmetic first rounds the state to the grid; rounding passes gradients straight through.
        Raises OverflowError where a state leaves the range in which it is exact.
        """
        return _ReversibleFunction.apply(self, prev, curr, *self.parameters_of_layers())

    @torch.no_grad()
    def inverse(self, prev: Tensor, curr: Tensor) -> tuple[Tensor, Tensor]:
        """Undoes ``forward``: bit for bit in exact arithmetic."""
        state = self.pair(prev, curr, self.grid)
        self.inverse_(state, self.detached())
        return self.values(state)

    def parameters_of_layers(self) -> list[Tensor]:
        """(normalised kernel, bias) of each layer, flat, with their autograd graph."""
        parts: list[Tensor] = []
        for layer in self.layers:
            assert isinstance(layer, SymmetricLayer)
            parts += [layer.normalised_kernel(), layer.bias]
        return parts

    def detached(self) -> list[Tensor]:
        return [part.detach() for part in self.parameters_of_layers()]

    @_same_kernels
    def forward_(self, state: State, parameters: Sequence[Tensor], kept: Kept | None = None) -> None:
        """Runs the blocks on ``state`` in place and checks its range.

        kept: gets the hidden activations of the layers that ``keeps_hidden`` names, for ``adjoint_``.
        """
        budget = self.budget(state.curr)
        state.watch_fields_()
        for block in self.blocks:
            if isinstance(block, Leapfrog):
                keep = None if kept is None else kept.setdefault(block.index, [])
                block.forward_(state, self._prepare(block, parameters, state.grid), budget, keep=keep)
            else:
                block.forward_(state, budget)
                release_freed(state.curr)
                state.watch_fields_()  # smooth fields grow by sqrt 2 per halved axis
        self._check_range(state)

    @_same_kernels
    def inverse_(self, state: State, parameters: Sequence[Tensor]) -> None:
        budget = self.budget(state.curr)
        for block in reversed(self.blocks):
            if isinstance(block, Leapfrog):
                block.inverse_(state, self._prepare(block, parameters, state.grid), budget)
            else:
                block.inverse_(state, budget)

    @_same_kernels
    def adjoint_(self, state: State, adjoint: State, parameters: Sequence[Tensor], kept: Kept | None = None) -> list[Tensor]:
        """Undoes the blocks on ``state`` and carries ``adjoint`` (u_prev, u_curr) back, both in place.

        kept: what ``forward_`` put there; emptied on the way. Returns the gradients of ``parameters``.
        """
        budget = self.budget(state.curr)
        gradients: list[Tensor] = [torch.empty(0)] * len(parameters)
        for block in reversed(self.blocks):
            if isinstance(block, Leapfrog):
                hidden = None if kept is None else kept.pop(block.index, None)
                layer = self._prepare(block, parameters, state.grid)
                kernel, bias = block.adjoint_(state, adjoint, layer, budget=budget, kept=hidden)
                gradients[2 * block.index], gradients[2 * block.index + 1] = kernel, bias
            else:
                block.inverse_(state, budget)
                block.adjoint_(adjoint, budget)
                release_freed(state.curr)
        return gradients

    def budget(self, field: Tensor) -> int:
        """Bytes of a slab's temporaries beside a state with such fields: the same on every level and in every pass."""
        return self.slab_bytes or default_slab_bytes(field.device.type, field.nbytes)

    def pair(self, prev: Tensor, curr: Tensor, grid: Grid) -> State:
        """Converts (N, C, T, H, W) values -> fields in memory of their own."""

        def field(values: Tensor) -> Tensor:
            return grid.store(values.permute(0, 2, 3, 4, 1)).clone(memory_format=torch.contiguous_format)

        return State(field(prev), field(curr), grid)

    def values(self, pair: State) -> tuple[Tensor, Tensor]:
        """Converts fields -> (N, C, T, H, W) values, in channels-last memory."""
        dtype = torch.float64 if pair.prev.dtype == torch.float64 else torch.float32
        prev, curr = (pair.grid.load(part, dtype).permute(0, 4, 1, 2, 3) for part in (pair.prev, pair.curr))
        return prev, curr

    def _prepare(self, block: Leapfrog, parameters: Sequence[Tensor], grid: Grid) -> Layer:
        kernel, bias = parameters[2 * block.index], parameters[2 * block.index + 1]
        rank, channels, size = kernel.shape[:3]
        layout = dispatch.Layout(
            channels=channels,
            rank=rank,
            size=size,
            convolution_dtype=self.convolution_dtype,
            grid=grid,
            adjoint_dtype=self.adjoint_dtype,
        )
        if dispatch.usable(kernel.device, layout):
            return dispatch.prepare(kernel, bias, step_size=self.step_size, unit=grid.unit)
        kind = WideLayer if is_wide(channels, rank) else PreparedLayer
        return kind(kernel, bias, step_size=self.step_size, unit=grid.unit, dtype=self.convolution_dtype)

    def _check_range(self, state: State) -> None:
        if state.range is None:
            return
        grid, reached = state.grid, float(state.range) * state.grid.unit
        if not reached <= grid.limit:  # also true for nan
            name = str(grid.dtype).removeprefix("torch.")
            raise OverflowError(
                f"the state reached {reached:.4g}, beyond +-{grid.limit:.4g}, the range in which {name} states on the "
                f"grid 2^-{grid.bits} are exact; lower network.step_size (now {self.step_size:g}), "
                f"network.grid_bits (now {grid.bits}) or network.depth"
            )


class _ReversibleFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sequence: ReversibleSequence, prev: Tensor, curr: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        with torch.autocast(curr.device.type, enabled=False):  # the dtypes are ours: backward must repeat the same bits
            state = sequence.pair(prev, curr, sequence.grid)
            sequence.forward_(state, parameters)
        ctx.sequence, ctx.grid, ctx.dtypes = sequence, state.grid, (prev.dtype, curr.dtype)
        # The fields are saved, not the values that are returned: nothing else refers to them, so backward may undo them in place.
        ctx.save_for_backward(state.prev, state.curr, *parameters)
        return sequence.values(state)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            # Without this, a second derivative through a loss that is linear in the state would silently be zero.
            raise RuntimeError("the reversible sequence can be differentiated only once; leave out create_graph=True")
        prev, curr, *parameters = ctx.saved_tensors  # a second backward without retain_graph ends here, with torch's message
        sequence: ReversibleSequence = ctx.sequence
        if torch._C._autograd._get_current_graph_task_keep_graph():
            prev, curr = prev.clone(), curr.clone()  # retain_graph=True: leave the state for the next backward
        state = State(prev, curr, ctx.grid)
        with torch.autocast(curr.device.type, enabled=False):
            adjoint = _output_adjoint(sequence, curr, grads)
            gradients = sequence.adjoint_(state, adjoint, parameters)
            u_prev, u_curr = sequence.values(adjoint)
        inputs = (u_prev.neg_().to(ctx.dtypes[0]), u_curr.to(ctx.dtypes[1]))
        return None, *inputs, *(g.to(p.dtype) for g, p in zip(gradients, parameters, strict=True))


def _output_adjoint(sequence: ReversibleSequence, like: Tensor, grads: tuple[Tensor | None, ...]) -> State:
    """Converts (g_prev, g_curr) -> (u_prev, u_curr) = (-g_prev, g_curr); an unused output contributes zeros."""
    fields = []
    for grad in grads:
        field = torch.zeros(like.shape, dtype=sequence.adjoint_dtype, device=like.device)
        fields.append(field if grad is None else field.copy_(grad.permute(0, 2, 3, 4, 1)))
    return State(fields[0].neg_(), fields[1], Grid(sequence.adjoint_dtype, None))
