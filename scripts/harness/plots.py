"""Curves and bars, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Label -> points (x, y), ascending in x."""


def available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def curves(path: Path, axis: str, panels: Mapping[str, Curves]) -> Path:
    """Draws one panel for each entry, named by its y axis; both axes are logarithmic. Returns the path."""
    from matplotlib import colormaps

    figure, axes = _figure(len(panels))
    labels = list(dict.fromkeys(label for some in panels.values() for label in some))
    for panel, (name, some) in zip(axes, panels.items(), strict=True):
        for label, points in some.items():
            if points:
                colour = colormaps["tab20"](labels.index(label))
                panel.loglog(*zip(*points, strict=True), base=2, marker="o", label=label, color=colour)
        panel.set(xlabel=axis, ylabel=name)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    return _save(figure, path)


def bars(path: Path, axis: str, title: str, values: Mapping[str, float]) -> Path:
    """Draws a horizontal bar for each entry. Returns the path."""
    figure, (panel,) = _figure(1)
    panel.barh(list(values), list(values.values()))
    panel.set(xlabel=axis, title=title)
    panel.invert_yaxis()
    return _save(figure, path)


def _figure(panels: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(5.5 * panels, 4.2), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
