"""Any module as the force of a block: f(y) = h^2 g(y) for a deterministic module g, its adjoint by vjp of the recomputed g.

On a grid the inverse is exact for every g that gives the same bits for the same input: what is added is rounded, and taken away
as it was added. Nothing is asked of g itself: it need not be invertible, linear or smooth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from revseg.reversible.force.force import Gradients
from revseg.reversible.grid import Grid
from revseg.reversible.state import State

if TYPE_CHECKING:
    from revseg.reversible.context import Context


class ModuleForce:
    """The force of a module for one pass; ``parameters`` are those that the pass began with."""

    def __init__(
        self, module: nn.Module, names: tuple[str, ...], parameters: tuple[Tensor, ...], step_size: float, context: Context
    ) -> None:
        self.module, self.names, self.parameters = module, names, parameters
        self.scale, self.context = step_size**2, context

    def kick_(self, state: State, conditions: tuple[Tensor, ...], *, sign: int = 1) -> None:
        """Applies the force at ``state.curr`` to ``state.partner``, in place."""
        force, _ = self._force(state, conditions)
        self._apply_(state, force.detach(), sign=sign)

    def adjoint_(self, state: State, adjoint: State, conditions: tuple[Tensor, ...], needs: tuple[bool, ...]) -> Gradients:
        """Takes the kick of the state back and kicks the adjoint; returns gradients of parameters and conditions."""
        force, inputs = self._force(state, conditions)
        self._apply_(state, force.detach(), sign=-1)
        u = self._shown(adjoint.curr.to(force.dtype))
        wanted = [inputs[0], *(part for part, need in zip(inputs[1:], needs, strict=True) if need)]
        constant = (None,) * len(wanted)  # of a module that nothing of this reaches
        found = torch.autograd.grad(force, wanted, u, allow_unused=True) if force.requires_grad else constant
        if found[0] is not None:
            adjoint.grid.kick_batch_(adjoint.partner, adjoint.curr, self._field(found[0]).mul_(self.scale))
        rest = iter(found[1:])
        parts = (next(rest) if need else None for need in needs)
        return tuple(None if part is None else part.mul(-self.scale) for part in parts)

    def _force(self, state: State, conditions: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """Returns g(y) with its graph, and what it was computed from: y, parameters, conditions.

        The graph is made on every pass: PyTorch may take other kernels without it.
        """
        with torch.enable_grad():
            y = self._shown(state.grid.load(state.curr, self.dtype_for(state.grid))).requires_grad_()
            parameters = [part.detach().requires_grad_() for part in self.parameters]
            given = [part.detach().requires_grad_(part.is_floating_point()) for part in conditions]
            force = torch.func.functional_call(self.module, dict(zip(self.names, parameters, strict=True)), (y, *given))
        if force.shape != y.shape:
            raise ValueError(
                f"{type(self.module).__name__} maps {tuple(y.shape)} to {tuple(force.shape)}; "
                "the module of a block must keep the shape"
            )
        return force, [y, *parameters, *given]

    def dtype_for(self, grid: Grid) -> torch.dtype:
        """Returns the dtype that the module computes in: its parameters'; without any, float32, or float64 for such states."""
        if self.parameters:
            return self.parameters[0].dtype
        return torch.float64 if grid.dtype == torch.float64 else torch.float32

    def _apply_(self, state: State, force: Tensor, sign: int) -> None:
        field = self._field(force).mul(self.scale / state.grid.unit)
        state.watch_(state.grid.kick_batch_(state.partner, state.curr, field, sign=sign))

    def _shown(self, field: Tensor) -> Tensor:
        """(N, T, H, W, C) -> what the module sees: (N, C, T, H, W), or (N, C, H, W)."""
        values = field.permute(0, 4, 1, 2, 3).contiguous()
        return values.squeeze(2) if self.context.images else values

    def _field(self, values: Tensor) -> Tensor:
        values = values.unsqueeze(2) if self.context.images else values
        return values.permute(0, 2, 3, 4, 1)
