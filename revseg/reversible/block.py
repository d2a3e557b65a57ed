"""Reversible blocks that act on a state in place: the leapfrog step and the changes of level.

    Leapfrog    next = 2 curr - prev - h^2 f(curr)          (prev, curr) -> (curr, next)
    Coarsen     orthonormal Haar transform of both fields    each chosen axis halved, C doubled for each
    Refine      its inverse

f is a symmetric layer K^T s(K y + b), or any module (``revseg.reversible.module``). Every block has forward, inverse and adjoint
side by side, and one signature. The adjoint is carried as the pair

    u_prev = -d(loss)/d(prev),   u_curr = d(loss)/d(curr)

because with this sign the adjoint of a leapfrog step is the same leapfrog, linearised, run on u:

    u_next = 2 u_curr - u_prev - h^2 f'(curr)^T u_curr         for the layer: K^T D K u, D = diag(s'(K curr + b))

so state and adjoint are updated by the same code, each over its own memory, the adjoint as (velocity, u): see
``revseg.reversible.state``.
Source: Lensink, Peters, Haber, arXiv:1905.10484; Peters, Haber, Lensink, arXiv:1912.12137.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from revseg.reversible.context import Context
from revseg.reversible.force.choice import prepare
from revseg.reversible.force.force import Force, Gradients, Layout, total_of
from revseg.reversible.grid import Grid
from revseg.reversible.haar import Axes, coarse_shape, coarsen_, coarsened, fine_shape, names_of, refine_, refined
from revseg.reversible.layer import SymmetricLayer, normalised_kernels
from revseg.reversible.module import ModuleForce
from revseg.reversible.state import State

Operands = tuple[Tensor, ...]
"""The tensors that a block depends on, with their autograd graph or without."""


class Block(nn.Module, ABC):
    """A reversible map of a state, with its inverse and its adjoint in place.

    A block of one's own gives ``forward``, ``forward_``, ``inverse_`` and ``adjoint_``. ``inverse_`` must undo ``forward_`` bit
    for bit on an exact grid; nothing is kept from one call to the next.
    """

    sees_images = False
    """Whether ``forward`` is given images as (N, C, H, W) where the sequence is, and not as volumes of one frame."""

    def operands(self) -> Operands:
        """Returns the tensors that the map depends on, with their graph: of a symmetric layer (normalised kernel, bias)."""
        return ()

    def channels_after(self, channels: int | None) -> int | None:
        """Returns C after the block, None where it is not known. Raises ValueError where the block cannot take C channels."""
        return channels

    @abstractmethod
    def forward(self, prev: Tensor, curr: Tensor, *conditions: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """Maps values (N, C, T, H, W) under ordinary autograd, which stores them; rounding passes gradients straight through."""

    @abstractmethod
    def forward_(self, state: State, operands: Operands, context: Context) -> None:
        """Maps the state in place."""

    @abstractmethod
    def inverse_(self, state: State, operands: Operands, context: Context) -> None:
        """Undoes ``forward_``."""

    @abstractmethod
    def adjoint_(
        self, state: State, adjoint: State, operands: Operands, context: Context, *, needs: tuple[bool, ...]
    ) -> Gradients:
        """Undoes ``forward_`` on the state and carries the adjoint back through it; returns the gradients of the operands.

        needs: which of these are wanted.
        """


class Leapfrog(Block):
    """One step of the two-step recurrence, next = 2 curr - prev - h^2 f(curr): (prev, curr) -> (curr, next).

    layer: a ``SymmetricLayer``, or any deterministic module that keeps the shape (N, C, T, H, W), or (N, C, H, W) where the
    sequence is given images. It need not be invertible. It sees values in the dtype of its parameters (without any: float32, or
    float64 for such states).
    step_size: h, without unit. conditioned: whether the module is given the sequence's further inputs after y.

    With a symmetric layer the step is stable for h up to 2: h^2 ||K||^2 <= 4, and ||K|| <= 1. Nothing bounds other modules.
    Raises ValueError for a step size that is not positive and finite, for a condition given to a symmetric layer, and when run
    for a module that changes the shape; RuntimeError when run for dropout or running statistics in training mode (another result
    when computed again), and for hooks on a symmetric layer (they would not run).
    Source: Lensink, Peters, Haber, arXiv:1905.10484.
    """

    def __init__(self, layer: nn.Module, step_size: float = 1.0, *, conditioned: bool = False) -> None:
        super().__init__()
        if not 0 < step_size < float("inf"):
            raise ValueError(f"step_size is {step_size}; give a positive number")
        symmetric = isinstance(layer, SymmetricLayer)
        if symmetric and conditioned:
            raise ValueError("a symmetric layer takes no condition; give a module of your own")
        self.layer, self.step_size, self.conditioned = layer, step_size, conditioned
        self.sees_images = not symmetric
        self._way: _Symmetric | _Module = (_Symmetric if symmetric else _Module)()

    def operands(self) -> Operands:
        return self._way.operands(self)

    def channels_after(self, channels: int | None) -> int | None:
        own = getattr(self.layer, "channels", None)
        if isinstance(own, int) and channels is not None and own != channels:
            raise ValueError(f"its layer has {own} channels, but is given {channels}")
        return own if isinstance(own, int) else channels

    def forward(self, prev: Tensor, curr: Tensor, *conditions: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        force = self.step_size**2 * self.layer(curr, *(conditions if self.conditioned else ()))
        return curr, 2 * curr - prev - grid.nearest(force)

    def forward_(self, state: State, operands: Operands, context: Context) -> None:
        self._way.kick_(self, state, operands=operands, context=context, sign=1)
        state.advance_()

    def inverse_(self, state: State, operands: Operands, context: Context) -> None:
        state.retreat_()
        self._way.kick_(self, state, operands=operands, context=context, sign=-1)

    def adjoint_(
        self, state: State, adjoint: State, operands: Operands, context: Context, *, needs: tuple[bool, ...]
    ) -> Gradients:
        """Costs 8 convolutions of a symmetric layer with the 2 of ``forward_``: K y, K u, K^T a, K^T d, two kernel gradients.

        7 where s(K y + b) was kept.
        """
        state.retreat_()
        gradients = self._way.adjoint_(self, state, adjoint=adjoint, operands=operands, context=context, needs=needs)
        adjoint.advance_()
        return gradients

    def extra_repr(self) -> str:
        return f"step_size={self.step_size:g}" + (", conditioned" if self.conditioned else "")


class _Symmetric:
    """How a leapfrog step runs with a symmetric layer: slab by slab, sample by sample."""

    def operands(self, block: Leapfrog) -> Operands:
        layer: Any = block.layer
        _refuse_hooks(layer)
        return layer.normalised_kernel(), layer.bias

    def kick_(self, block: Leapfrog, state: State, *, operands: Operands, context: Context, sign: int) -> None:
        keep: list[list[Tensor]] | None = None
        if sign == 1 and context.kept is not None:
            context.kept.append(keep := [])
        self._force(block, operands, context=context, grid=state.grid).kick_(state, context.budget, sign=sign, keep=keep)

    def adjoint_(
        self, block: Leapfrog, state: State, *, adjoint: State, operands: Operands, context: Context, needs: tuple[bool, ...]
    ) -> Gradients:
        kept = context.kept.pop() if context.kept else None
        force = self._force(block, operands, context=context, grid=state.grid)
        return force.adjoint_(state, adjoint, context.budget, needs=needs, kept=kept)

    def _force(self, block: Leapfrog, operands: Operands, *, context: Context, grid: Grid) -> Force:
        kernel, bias = operands
        layout = layout_of(block.layer, grid, context)  # type: ignore[arg-type]
        kind = context.kind(layout, kernel.device)
        return prepare(kind, kernel, bias, step_size=block.step_size, layout=layout, shard=context.shard)


class _Module:
    """How a leapfrog step runs with a module of the user's: the whole batch at once."""

    def operands(self, block: Leapfrog) -> Operands:
        _refuse_what_differs(block.layer)
        return tuple(block.layer.parameters())

    def kick_(self, block: Leapfrog, state: State, *, operands: Operands, context: Context, sign: int) -> None:
        self._force(block, operands, context).kick_(state, self._conditions(block, context), sign=sign)

    def adjoint_(
        self, block: Leapfrog, state: State, *, adjoint: State, operands: Operands, context: Context, needs: tuple[bool, ...]
    ) -> Gradients:
        conditions = self._conditions(block, context)
        wanted = (*needs, *(part.requires_grad for part in conditions))
        gradients = self._force(block, operands, context).adjoint_(state, adjoint, conditions=conditions, needs=wanted)
        for index, part in enumerate(gradients[len(needs) :]):
            context.condition_gradients[index] = total_of(context.condition_gradients[index], part)
        return gradients[: len(needs)]

    def _force(self, block: Leapfrog, operands: Operands, context: Context) -> ModuleForce:
        if context.shard is not None:
            raise ValueError(
                f"{type(block.layer).__name__} may look at any frame of a volume, but this process holds some of them: "
                "volumes are shared out with symmetric layers only"
            )
        names = tuple(name for name, _ in block.layer.named_parameters())
        return ModuleForce(block.layer, names, parameters=operands, step_size=block.step_size, context=context)

    def _conditions(self, block: Leapfrog, context: Context) -> tuple[Tensor, ...]:
        return context.conditions if block.conditioned else ()


class Coarsen(Block):
    """Halves axes of both fields and doubles C for each, by the orthonormal Haar transform in place.

        low = (a + b) / sqrt 2        high = (b - a) / sqrt 2        for neighbours a, b along an axis

    axes: which of T, H and W; images (N, C, H, W) have no T. (N, C, T, H, W) -> (N, 8 C, T/2, H/2, W/2) for all three.
    On an exact grid each rotation is three rounded shears: an exact inverse, within about 2 units of the orthonormal transform;
    gradients are the orthonormal one's. Raises ValueError where no axis is chosen, and at run time where a size is odd.
    Sources: Lensink, Peters, Haber, arXiv:1905.10484; Daubechies and Sweldens, "Factoring wavelet transforms", 1998.
    """

    def __init__(self, axes: Axes = (True, True, True)) -> None:
        super().__init__()
        if len(axes) != 3 or not any(axes):
            raise ValueError(f"axes is {axes}; say of each of T, H and W whether it is halved, at least of one that it is")
        self.axes: Axes = (bool(axes[0]), bool(axes[1]), bool(axes[2]))

    def channels_after(self, channels: int | None) -> int | None:
        return None if channels is None else channels << sum(self.axes)

    def forward(self, prev: Tensor, curr: Tensor, *conditions: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        return grid.nearest(coarsened(prev, self.axes)), grid.nearest(coarsened(curr, self.axes))

    def forward_(self, state: State, operands: Operands, context: Context) -> None:
        self.apply_(state, context.budget)

    def inverse_(self, state: State, operands: Operands, context: Context) -> None:
        self.undo_(state, context.budget)

    def adjoint_(
        self, state: State, adjoint: State, operands: Operands, context: Context, *, needs: tuple[bool, ...]
    ) -> Gradients:
        """The transform is orthonormal and linear: its adjoint is its inverse, on each field of the adjoint as it is."""
        self.undo_(state, context.budget)
        self.undo_(adjoint, context.budget)
        return ()

    def apply_(self, state: State, budget: int) -> None:
        """Coarsens both fields."""
        state.partner, state.curr = (self.coarse(field, state.grid, budget) for field in (state.partner, state.curr))

    def undo_(self, state: State, budget: int) -> None:
        """Refines both fields."""
        state.partner, state.curr = (self.fine(field, state.grid, budget) for field in (state.partner, state.curr))

    def coarse(self, field: Tensor, grid: Grid, budget: int) -> Tensor:
        """Coarsens a field (N, T, H, W, C), in its memory."""
        shape = coarse_shape(field.shape[1:], self.axes)  # each sample has an even number of frames: pairs lie within one
        return coarsen_(field.flatten(0, 1), axes=self.axes, grid=grid, group_bytes=budget).view(len(field), *shape)

    def fine(self, field: Tensor, grid: Grid, budget: int) -> Tensor:
        """Refines a field (N, T, H, W, C), in its memory."""
        shape = fine_shape(field.shape[1:], self.axes)
        return refine_(field.flatten(0, 1), axes=self.axes, grid=grid, group_bytes=budget).view(len(field), *shape)

    def extra_repr(self) -> str:
        return f"axes={self.axes}"


class Refine(Block):
    """Doubles axes of both fields and divides C by 2 for each, in place: the inverse of ``Coarsen``.

    axes: which of T, H and W; (N, C, T, H, W) -> (N, C/8, 2 T, 2 H, 2 W) for all three. Raises ValueError where C is no multiple
    of 2 for each axis: where channels are known, when the sequence is built.
    """

    def __init__(self, axes: Axes = (True, True, True)) -> None:
        super().__init__()
        self._coarsen = Coarsen(axes)

    @property
    def axes(self) -> Axes:
        """Which of T, H and W are doubled."""
        return self._coarsen.axes

    def channels_after(self, channels: int | None) -> int | None:
        if channels is not None and channels % (1 << sum(self.axes)):
            raise ValueError(f"{channels} channels cannot be refined along {names_of(self.axes)}")
        return None if channels is None else channels >> sum(self.axes)

    def forward(self, prev: Tensor, curr: Tensor, *conditions: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        return grid.nearest(refined(prev, self.axes)), grid.nearest(refined(curr, self.axes))

    def forward_(self, state: State, operands: Operands, context: Context) -> None:
        self._coarsen.undo_(state, context.budget)

    def inverse_(self, state: State, operands: Operands, context: Context) -> None:
        self._coarsen.apply_(state, context.budget)

    def adjoint_(
        self, state: State, adjoint: State, operands: Operands, context: Context, *, needs: tuple[bool, ...]
    ) -> Gradients:
        self._coarsen.apply_(state, context.budget)
        self._coarsen.apply_(adjoint, context.budget)
        return ()


def operands_of(blocks: Sequence[Block]) -> list[Operands]:
    """Returns what each block depends on, with its graph; the norms of all symmetric layers are found together.

    A subclass that has a ``normalised_kernel`` of its own keeps it.
    """
    layers = {
        index: block.layer
        for index, block in enumerate(blocks)
        if isinstance(block, Leapfrog)
        and isinstance(block.layer, SymmetricLayer)
        and type(block.layer).normalised_kernel is SymmetricLayer.normalised_kernel
    }
    for layer in layers.values():
        _refuse_hooks(layer)
    kernels = dict(zip(layers, normalised_kernels(list(layers.values())), strict=True))
    return [(kernels[index], layers[index].bias) if index in layers else block.operands() for index, block in enumerate(blocks)]


def layout_of(layer: SymmetricLayer, grid: Grid, context: Context) -> Layout:
    """Returns what the choice of a layer's implementation depends on."""
    return Layout(
        channels=layer.channels,
        rank=layer.rank,
        kernel_size=layer.kernel_size,
        activation=layer.activation,
        convolution_dtype=context.convolution_dtype,
        grid=grid,
        adjoint_dtype=context.adjoint_dtype,
    )


def _refuse_hooks(layer: nn.Module) -> None:
    """Refuses hooks on a symmetric layer: its passes never call it, so they would silently not run."""
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks:
        raise RuntimeError(
            "a hook on a symmetric layer would not run: a reversible sequence computes it in place; "
            "put the hook on the sequence, or build the sequence with recompute=False"
        )


def _refuse_what_differs(module: nn.Module) -> None:
    """Refuses modules that are known to give another result when they are computed again."""
    for name, part in module.named_modules():
        where = f"{type(part).__name__}{f' ({name})' if name else ''}"
        if module.training and isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0:
            raise RuntimeError(f"{where} in a reversible block differs each time it is computed; leave dropout out, or set p=0")
        if module.training and getattr(part, "track_running_stats", False):
            raise RuntimeError(
                f"{where} in a reversible block would count each batch twice in its running statistics, because the backward "
                "pass computes it again; use group, layer or instance norm, or track_running_stats=False"
            )
