"""A sequence of reversible blocks as one autograd function.

It keeps only the final state. The backward pass undoes block after block, and at each block recomputes what its adjoint
needs from the state just recovered: memory that does not grow with depth.

The inverse is exact on the same device, with the same versions of PyTorch, its libraries and revseg. The number of threads
does not matter; what was set when the forward pass began (step sizes, dtypes, slabs, TF32) is what the way back uses.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from revseg.reversible.block import Block, Coarsen, Operands, operands_of
from revseg.reversible.context import Context
from revseg.reversible.grid import Grid
from revseg.reversible.run import Run, default_slab_bytes, unscaled
from revseg.reversible.shard import Shard
from revseg.reversible.state import State


class ReversibleSequence(nn.Module):
    """Runs blocks forwards, inverts them, or carries an adjoint back through them, as one autograd function.

        sequence = ReversibleSequence([Leapfrog(SymmetricLayer(4, 8)), Coarsen(), Leapfrog(SymmetricLayer(32, 8)), Refine()])
        prev, curr = sequence(prev, curr)                # (N, C, T, H, W), or images (N, C, H, W)
        prev, curr = sequence.inverse(prev, curr)        # the same bits again

    Between forward and backward it keeps the two fields of the last state, in ``grid.dtype``, and its inputs' conditions.
    Values are in float32 (float64 for float64 states) whatever the grid; state and weights lie on one device.

    blocks: their channels must fit one another: ValueError here where they do not.
    grid: how states are stored; ``Grid(torch.float32, None)`` is ordinary floating point, with an approximate inverse.
    convolution_dtype: of the products of symmetric layers. adjoint_dtype: how adjoints are stored.
    slab_bytes: budget of one slab's temporaries; None: ``default_slab_bytes``.
    recompute: False stores activations as ordinary autograd does, for comparisons, torch.func and torch.export. Its states differ
    by a few units of the grid: there the Haar transform is rounded once instead of in three shears.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        grid: Grid | None = None,
        convolution_dtype: torch.dtype = torch.float32,
        adjoint_dtype: torch.dtype = torch.float32,
        slab_bytes: int | None = None,
        recompute: bool = True,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.grid = grid or Grid()
        self.convolution_dtype, self.adjoint_dtype = convolution_dtype, adjoint_dtype
        self.slab_bytes, self.recompute = slab_bytes, recompute
        _check_channels(blocks, None)
        self.multiple = _multiple_of(blocks)

    def forward(self, prev: Tensor, curr: Tensor, *conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Runs a state through all blocks, under autograd: values (N, C, T, H, W) or (N, C, H, W), sizes of ``multiple``.

        conditions: further inputs of the blocks that are conditioned. Exact arithmetic first rounds the state to the grid;
        rounding passes gradients straight through.
        Raises OverflowError where a state leaves the range in which it is exact, ValueError for shapes that do not fit.
        """
        images = curr.dim() == 4
        self._check_inputs(prev, curr)
        if images:
            prev, curr = prev.unsqueeze(2), curr.unsqueeze(2)
        if self.recompute and not torch.compiler.is_exporting():
            prev, curr = self._recomputed(prev, curr, conditions, images=images)
        else:
            prev, curr = self._stored(prev, curr, conditions, images=images)
        return (prev.squeeze(2), curr.squeeze(2)) if images else (prev, curr)

    @torch.no_grad()
    def inverse(self, prev: Tensor, curr: Tensor, *conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Undoes ``forward``: bit for bit in exact arithmetic, on the device and with the versions that ran it.

        Raises OverflowError where a state leaves the range in which it is exact.
        """
        images = curr.dim() == 4
        self._check_inputs(prev, curr, check_size=False)
        if images:
            prev, curr = prev.unsqueeze(2), curr.unsqueeze(2)
        state = State.from_pair(prev, curr, self.grid)
        run = self.begin(state.curr.nbytes, device=curr.device, conditions=conditions, images=images)
        run.inverse_(state, self.detached())
        prev, curr = state.pair()
        return (prev.squeeze(2), curr.squeeze(2)) if images else (prev, curr)

    def operands(self) -> list[Operands]:
        """Returns what each block depends on, with its autograd graph."""
        return operands_of(self._blocks())

    def detached(self) -> list[Operands]:
        """Returns what each block depends on, without graph."""
        return [tuple(part.detach() for part in operands) for operands in self.operands()]

    def begin(
        self,
        field_bytes: int,
        *,
        device: torch.device,
        keep_hidden: bool = False,
        conditions: tuple[Tensor, ...] = (),
        images: bool = False,
        shard: Shard | None = None,
    ) -> Run:
        """Begins a pass over a state whose fields take ``field_bytes`` each, with the settings as they are now.

        shard: which part of a volume this process holds, where several hold one (``revseg.reversible.shard``).
        """
        context = Context(
            convolution_dtype=self.convolution_dtype,
            adjoint_dtype=self.adjoint_dtype,
            budget=self.slab_budget(field_bytes, device),
            conditions=conditions,
            images=images,
            kept=[] if keep_hidden else None,
            condition_gradients=[None] * len(conditions),
            shard=shard,
        )
        return Run(tuple(copy.copy(block) for block in self._blocks()), context)

    def slab_budget(self, field_bytes: int, device: torch.device) -> int:
        """Bytes of a slab's temporaries beside a state whose fields take ``field_bytes`` each: the same in every pass."""
        return self.slab_bytes or default_slab_bytes(device.type, field_bytes)

    def _blocks(self) -> tuple[Block, ...]:
        return tuple(self.blocks)  # type: ignore[arg-type]

    def _recomputed(self, prev: Tensor, curr: Tensor, conditions: tuple[Tensor, ...], images: bool) -> tuple[Tensor, Tensor]:
        if torch._C._are_functorch_transforms_active():
            raise RuntimeError("torch.func cannot transform a pass that is recomputed; build the sequence with recompute=False")
        operands = self.operands()
        counts = [len(part) for part in operands]
        flat = [tensor for part in operands for tensor in part]
        return _Recomputed.apply(self, counts, len(conditions), images, prev, curr, *conditions, *flat)

    def _stored(self, prev: Tensor, curr: Tensor, conditions: tuple[Tensor, ...], images: bool) -> tuple[Tensor, Tensor]:
        grid = self.grid
        prev, curr = grid.nearest(prev), grid.nearest(curr)
        for block in self._blocks():
            if images and block.sees_images:
                shown = block(prev.squeeze(2), curr.squeeze(2), *conditions, grid=grid)
                prev, curr = (part.unsqueeze(2) for part in shown)
            else:
                prev, curr = block(prev, curr, *conditions, grid=grid)
        return prev, curr

    def _check_inputs(self, prev: Tensor, curr: Tensor, check_size: bool = True) -> None:
        if prev.shape != curr.shape or curr.dim() not in (4, 5):
            raise ValueError(
                f"prev and curr have shapes {tuple(prev.shape)} and {tuple(curr.shape)}; give two of one shape, (N, C, T, H, W) "
                "or (N, C, H, W)"
            )
        if check_size:
            _check_channels(self._blocks(), curr.shape[1])
        size = (1,) * (5 - curr.dim()) + tuple(curr.shape[2:])
        if check_size and any(extent % multiple for extent, multiple in zip(size, self.multiple, strict=True)):
            t, h, w = self.multiple
            raise ValueError(
                f"the fields are {' x '.join(map(str, curr.shape[2:]))}; "
                f"this sequence needs T, H and W divisible by {t}, {h} and {w}"
            )


def _check_channels(blocks: Sequence[Block], channels: int | None) -> None:
    """Raises ValueError where a block cannot take what the one before hands it; channels: of the input, None: not known yet."""
    for number, block in enumerate(blocks):
        try:
            channels = block.channels_after(channels)
        except ValueError as error:
            raise ValueError(f"block {number} ({type(block).__name__}) does not fit: {error}") from error


def _multiple_of(blocks: Sequence[Block]) -> tuple[int, int, int]:
    """Returns the numbers that T, H and W must be divisible by."""
    level, deepest = [0, 0, 0], [0, 0, 0]
    for block in blocks:
        for axis, moved in enumerate(getattr(block, "axes", ())):
            level[axis] += (1 if isinstance(block, Coarsen) else -1) * moved
            deepest[axis] = max(deepest[axis], level[axis])
    return 1 << deepest[0], 1 << deepest[1], 1 << deepest[2]


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sequence: ReversibleSequence, counts: list[int], conditions: int, images: bool, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        prev, curr, *rest = tensors
        state = State.from_pair(prev, curr, sequence.grid)
        run = sequence.begin(state.curr.nbytes, device=curr.device, conditions=tuple(rest[:conditions]), images=images)
        ctx.start = state.checksum()
        run.forward_(state, _split(rest[conditions:], counts))
        run.context.conditions = ()
        ctx.run, ctx.grid, ctx.counts, ctx.conditions = run, state.grid, counts, conditions
        ctx.dtypes = prev.dtype, curr.dtype
        # The fields are saved, not the values that are returned: nothing else refers to them, so backward may undo them in place.
        ctx.save_for_backward(state.partner, state.curr, *rest)
        return state.pair()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            # Without this, a second derivative through a loss that is linear in the state would silently be zero.
            raise RuntimeError("the reversible sequence can be differentiated only once; leave out create_graph=True")
        partner, curr, *rest = ctx.saved_tensors  # a second backward without retain_graph ends here, with torch's message
        keeps = torch._C._autograd._get_current_graph_task_keep_graph()
        if keeps:
            partner, curr = partner.clone(), curr.clone()  # retain_graph=True: leave the state for the next backward
        state, run = State(partner, curr, ctx.grid), ctx.run
        needs = ctx.needs_input_grad[4:]
        run.context.conditions = tuple(
            part.detach().requires_grad_(need) for part, need in zip(rest[: ctx.conditions], needs[2:], strict=False)
        )
        run.context.condition_gradients = [None] * ctx.conditions
        operands = _split(rest[ctx.conditions :], ctx.counts)
        wanted = _split(needs[2 + ctx.conditions :], ctx.counts)
        adjoint = run.adjoint_of(curr, grads)
        to_start = any(needs[: 2 + ctx.conditions])
        gradients = run.adjoint_(state, adjoint, operands, needs=wanted, to_start=to_start)
        end = state.checksum() if run.whole else None
        if end is not None and not torch.equal(end, ctx.start):
            raise RuntimeError(
                "the backward pass did not return to the state that the forward pass began with: a module of a block gives "
                "another result when it is computed again (random numbers, running statistics), or weights changed in between"
            )
        inputs = _input_gradients(adjoint, ctx.dtypes) if to_start else (None, None)
        flat = [g for part in gradients for g in part]
        found = [*(unscaled(g, adjoint) for g in run.context.condition_gradients), *flat]
        typed = (None if g is None else g.to(p.dtype) for g, p in zip(found, rest, strict=True))
        return None, None, None, None, *inputs, *typed


def _split(flat: Sequence[Any], counts: Sequence[int]) -> list[tuple[Any, ...]]:
    parts, start = [], 0
    for count in counts:
        parts.append(tuple(flat[start : start + count]))
        start += count
    return parts


def _input_gradients(adjoint: State, dtypes: tuple[torch.dtype, torch.dtype]) -> tuple[Tensor, Tensor]:
    """Converts (u_prev, u_curr) -> (g_prev, g_curr) = (-u_prev, u_curr), values (N, C, T, H, W)."""
    u_prev, u_curr = (part if adjoint.scale is None else part / adjoint.scale for part in adjoint.pair())
    return u_prev.neg_().to(dtypes[0]), u_curr.to(dtypes[1])
