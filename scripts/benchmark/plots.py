"""Pictures: peak and step time against depth and against volume, and the largest trainable volume."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.case import blocks_in
from benchmark.peers import PEERS
from benchmark.results import Results

Record = dict[str, Any]


def draw(results: Results, folder: Path) -> list[Path]:
    """The pictures written, none where matplotlib is absent."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    device = results.setting["device"]
    depth, volume = _curves(results, "depth", _blocks), _curves(results, "volume", _megavoxels)
    drawn = []
    if depth:
        drawn.append(_pair(folder / f"{device}-depth.png", depth, "blocks"))
    if volume:
        drawn.append(_pair(folder / f"{device}-volume.png", volume, "million voxels"))
    if "largest" in results.groups:
        drawn.append(_bars(folder / f"{device}-largest.png", results.groups["largest"]))
    return drawn


def _curves(results: Results, row: str, position: Callable[[Record], float]) -> dict[str, list[tuple[float, Record]]]:
    """peer -> its records by position."""
    curves: dict[str, list[tuple[float, Record]]] = {}
    for _, group in results.starting(row):
        for case in group["cases"]:
            if "error" not in case:
                curves.setdefault(case["peer"], []).append((position(case), case))
    return {peer: sorted(points, key=lambda point: point[0]) for peer, points in curves.items()}


def _pair(path: Path, curves: dict[str, list[tuple[float, Record]]], axis: str) -> Path:
    figure, (left, right) = _figure(2)
    for peer, points in curves.items():
        title = PEERS[peer].title
        peaks = [(x, case["peak"] / 2**20) for x, case in points if case["peak"]]
        times = [(x, statistics.median(case["seconds"])) for x, case in points if case.get("seconds")]
        for panel, values in ((left, peaks), (right, times)):
            if values:
                panel.plot(*zip(*values, strict=True), marker="o", label=title)
    for panel, name in ((left, "peak MB"), (right, "seconds a step")):
        panel.set(xlabel=axis, ylabel=name, xscale="log", yscale="log")
        panel.grid(alpha=0.3)
    left.legend(fontsize=7)
    return _save(figure, path)


def _bars(path: Path, group: Record) -> Path:
    figure, (panel,) = _figure(1)
    cases = [case for case in group["cases"] if "error" not in case]
    panel.barh([PEERS[case["peer"]].title for case in cases], [case["voxels"] / 1e6 for case in cases])
    panel.set(xlabel="million voxels", title=f"Trains in {group['limit'] / 2**20:.0f} MB (16 blocks)")
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


def _blocks(case: Record) -> float:
    return blocks_in(case["depth"])


def _megavoxels(case: Record) -> float:
    frames, height, width = case["size"]
    return frames * height * width / 1e6
