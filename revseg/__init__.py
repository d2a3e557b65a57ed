"""revseg: segment a whole video as one volume with a fully reversible network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from revseg.network.network import RevSegNet

__all__ = ["RevSegNet", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: the command line answers --help before torch is loaded."""
    if name == "RevSegNet":
        from revseg.network.network import RevSegNet

        return RevSegNet
    if name == "__version__":
        from importlib.metadata import version

        return version("revseg")
    raise AttributeError(f"module revseg has no attribute {name!r}")
