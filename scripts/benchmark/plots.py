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
Curves = dict[str, list[tuple[float, Record]]]


def draw(results: Results, folder: Path) -> list[Path]:
    """The pictures written, none where matplotlib is absent."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    device = results.setting["device"]
    depth, volume = _curves(results, "depth", _blocks), _curves(results, "volume", _megavoxels)
    peaks = _curves(results, "depth-peak", _blocks) or depth
    drawn = []
    if depth:
        drawn.append(_pair(folder / f"{device}-depth.png", peaks, depth, "blocks"))
    if volume:
        drawn.append(_pair(folder / f"{device}-volume.png", volume, volume, "million voxels"))
    if "largest" in results.groups:
        drawn.append(_bars(folder / f"{device}-largest.png", results.groups["largest"]))
    return drawn


def _curves(results: Results, row: str, position: Callable[[Record], float]) -> Curves:
    """peer -> its records by position."""
    curves: Curves = {}
    for _, group in results.starting(row):
        for case in group["cases"]:
            if "error" not in case:
                curves.setdefault(case["peer"], []).append((position(case), case))
    return {peer: sorted(points, key=lambda point: point[0]) for peer, points in curves.items()}


def _pair(path: Path, peaks: Curves, times: Curves, axis: str) -> Path:
    figure, (left, right) = _figure(2)
    for peer in {**peaks, **times}:
        of_peaks = [(x, case["peak"] / 2**20) for x, case in peaks.get(peer, []) if case["peak"]]
        of_times = [(x, statistics.median(case["seconds"])) for x, case in times.get(peer, []) if case.get("seconds")]
        for panel, values in ((left, of_peaks), (right, of_times)):
            if values:
                panel.plot(*zip(*values, strict=True), marker="o", label=PEERS[peer].title, color=_colour(peer))
    for panel, name in ((left, "peak MB"), (right, "seconds a step")):
        panel.set(xlabel=axis, ylabel=name)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    return _save(figure, path)


def _colour(peer: str) -> Any:
    from matplotlib import colormaps

    return colormaps["tab20"](list(PEERS).index(peer))


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
