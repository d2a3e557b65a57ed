"""One pass of a state through blocks and back, with the blocks' settings as they were when it began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from revseg.reversible.block import Block, Coarsen, Operands
from revseg.reversible.context import Context
from revseg.reversible.force.force import Gradients
from revseg.reversible.grid import Grid
from revseg.reversible.heap import release_freed
from revseg.reversible.state import State, scale_of

# Least and most bytes of one slab's temporaries: small beside the states, large enough that halos cost little and that all
# cores of a GPU have work.
SLAB_BYTES = {"cpu": (48 << 20, 48 << 20), "cuda": (32 << 20, 256 << 20)}
SLAB_SHARE = 1 / 4
"""Share of one of the state's two fields that a slab's temporaries take, between these bounds."""


def default_slab_bytes(device: str, field_bytes: int) -> int:
    """Bytes of a slab's temporaries beside a state whose fields take ``field_bytes`` each. device: its type."""
    least, most = SLAB_BYTES.get(device, SLAB_BYTES["cpu"])
    return min(max(int(SLAB_SHARE * field_bytes), least), most)


@overload
def unscaled(gradient: Tensor, adjoint: State) -> Tensor: ...
@overload
def unscaled(gradient: None, adjoint: State) -> None: ...
@overload
def unscaled(gradient: Tensor | None, adjoint: State) -> Tensor | None: ...
def unscaled(gradient: Tensor | None, adjoint: State) -> Tensor | None:
    """Divides a gradient that was computed from an adjoint by the adjoint's scale."""
    return gradient if gradient is None or adjoint.scale is None else gradient / adjoint.scale


def _changes_level(block: Block) -> bool:
    return hasattr(block, "axes")


class Run:
    """A pass: ``forward_``, then ``adjoint_``; or ``inverse_``. All work in place; see ``Block`` for operands and gradients."""

    def __init__(self, blocks: tuple[Block, ...], context: Context) -> None:
        self.blocks, self.context = blocks, context
        self.whole = False
        """Whether ``adjoint_`` has gone back to the first block."""

    @property
    def leading(self) -> int:
        """Number of level changes before the first block of another kind."""
        kinds = [isinstance(block, Coarsen) for block in self.blocks]
        return (kinds + [False]).index(False)

    def open_(self, field: Tensor, grid: Grid) -> State:
        """Returns the state that starts at rest, (y, y), from the stored field y (N, T, H, W, C), behind the ``leading`` blocks.

        These act on both fields alike: they run once.
        """
        watched = State(field, field, grid)
        watched.watch_(grid.magnitude(field))
        for block in self.blocks[: self.leading]:
            field = block.coarse(field, grid, self.context.budget)  # type: ignore[operator]
            release_freed(field)
            watched.watch_(grid.magnitude(field))
        state = State.at_rest(field, grid)
        state.range = watched.range
        return state

    def close_(self, field: Tensor, grid: Grid) -> Tensor:
        """Takes a field, of the state or of the adjoint, from behind the ``leading`` blocks to before them."""
        for block in reversed(self.blocks[: self.leading]):
            field = block.fine(field, grid, self.context.budget)  # type: ignore[operator]
        return field

    def forward_(self, state: State, operands: Sequence[Operands], *, start: int = 0, checked: bool = True) -> None:
        """Runs the blocks from number ``start`` on and checks the state's range; raises OverflowError where it was left.

        checked: False leaves the check (``range_error``) to the caller, who may not want to wait for a GPU here.
        """
        with self.context.same_kernels():
            state.watch_fields_()
            for block, own in zip(self.blocks[start:], operands[start:], strict=True):
                block.forward_(state, own, self.context)
                self._after(block, state)
        if checked:
            self._check_range(state)

    def inverse_(self, state: State, operands: Sequence[Operands]) -> None:
        """Undoes all blocks and checks the state's range."""
        with self.context.same_kernels():
            state.watch_fields_()
            for block, own in zip(reversed(self.blocks), reversed(operands), strict=True):
                block.inverse_(state, own, self.context)
                self._after(block, state)
        self._check_range(state)

    def adjoint_(
        self,
        state: State,
        adjoint: State,
        operands: Sequence[Operands],
        *,
        needs: Sequence[tuple[bool, ...]] | None = None,
        to_start: bool = True,
        start: int = 0,
    ) -> list[Gradients]:
        """Undoes the blocks down to number ``start`` on ``state`` and carries ``adjoint`` back; returns the operands' gradients.

        needs: which gradients are wanted, None: all. Where ``to_start`` is False, the gradient of the input is not: the pass then
        ends at the first block that needs one, and ``whole`` is False.
        """
        needs = needs or [(True,) * len(own) for own in operands]
        first = start if to_start else next((i for i, own in enumerate(needs) if any(own)), len(self.blocks))
        gradients: list[Gradients] = [(None,) * len(own) for own in operands]
        with self.context.same_kernels():
            for index in reversed(range(first, len(self.blocks))):
                block = self.blocks[index]
                gradients[index] = block.adjoint_(
                    state, adjoint, operands=operands[index], context=self.context, needs=needs[index]
                )
                if _changes_level(block):
                    release_freed(state.curr)
        self.whole = first == start
        return [tuple(unscaled(part, adjoint) for part in own) for own in gradients]

    def adjoint_of(self, like: Tensor, grads: tuple[Tensor | None, ...]) -> State:
        """Converts the gradients of (prev, curr) -> (u, velocity) = (g_curr, g_prev + g_curr); an unused output gives zeros."""
        dtype = self.context.adjoint_dtype
        given = [grad.permute(0, 2, 3, 4, 1) for grad in grads if grad is not None]
        scale = None
        if dtype == torch.float16 and given:
            scale = scale_of(torch.stack([grad.abs().amax() for grad in given]).amax())
            given = [grad * scale for grad in given]
        u = torch.zeros(like.shape, dtype=dtype, device=like.device)
        if grads[1] is not None:
            u.copy_(given[-1])
        velocity = u.clone()
        if grads[0] is not None:
            velocity.copy_(given[0] if grads[1] is None else given[0] + given[1])
        return State(velocity, u, Grid(dtype, None), scale=scale)

    def _after(self, block: Block, state: State) -> None:
        if _changes_level(block):
            release_freed(state.curr)
            state.watch_fields_()  # smooth fields grow by sqrt 2 per halved axis

    def _check_range(self, state: State) -> None:
        """Raises OverflowError where the state has left its range, in any shard: then in all."""
        if state.range is None:
            return
        reached = state.range if self.context.shard is None else self.context.shard.largest(state.range)
        if (error := range_error(float(reached), state.grid)) is not None:
            raise error


def range_error(reached: float, grid: Grid) -> OverflowError | None:
    """Returns what to raise for a state that reached a magnitude, in grid units; None where it is within the grid's range."""
    reached *= grid.unit
    if reached <= grid.limit:  # not true for nan
        return None
    name = str(grid.dtype).removeprefix("torch.")
    return OverflowError(
        f"the state reached {reached:.4g}, beyond +-{grid.limit:.4g}, the range in which {name} states on the "
        f"grid 2^-{grid.bits} are exact; lower network.step_size, network.grid_bits (now {grid.bits}) "
        "or network.depth, or set network.norm=operator"
    )
