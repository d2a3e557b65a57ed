"""revseg: reversible networks whose inverse is exact, as a library; and with it, a whole video segmented as one volume."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revseg.api.export import export
    from revseg.api.segment import segment
    from revseg.network.network import RevSegNet
    from revseg.network.step import Loss, StepResult, training_step
    from revseg.reversible.activation import Activation
    from revseg.reversible.block import Block, Coarsen, Leapfrog, Refine
    from revseg.reversible.grid import Grid
    from revseg.reversible.layer import SymmetricLayer
    from revseg.reversible.norm import operator_bound
    from revseg.reversible.sequence import ReversibleSequence
    from revseg.reversible.state import State

    __version__: str

__all__ = [
    "Activation",
    "Block",
    "Coarsen",
    "Grid",
    "Leapfrog",
    "Loss",
    "Refine",
    "ReversibleSequence",
    "RevSegNet",
    "State",
    "StepResult",
    "SymmetricLayer",
    "__version__",
    "export",
    "operator_bound",
    "segment",
    "training_step",
]

_HOMES = {
    "Activation": "reversible.activation",
    "Block": "reversible.block",
    "Coarsen": "reversible.block",
    "Grid": "reversible.grid",
    "Leapfrog": "reversible.block",
    "Loss": "network.step",
    "Refine": "reversible.block",
    "ReversibleSequence": "reversible.sequence",
    "RevSegNet": "network.network",
    "State": "reversible.state",
    "StepResult": "network.step",
    "SymmetricLayer": "reversible.layer",
    "export": "api.export",
    "operator_bound": "reversible.norm",
    "segment": "api.segment",
    "training_step": "network.step",
}
"""The module of revseg in which each public name is defined."""


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: the command line answers --help before torch is loaded."""
    if name in _HOMES:
        return getattr(import_module(f"revseg.{_HOMES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("revseg")
    raise AttributeError(f"module revseg has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the public names and the modules that are loaded."""
    return sorted({*globals(), *__all__})
