"""The section of one device on the page, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from statistics import median

from harness import machine, plots
from harness.page import table
from harness.results import Results

from speed.case import blocks_in
from speed.peers import PEERS
from speed.ratios import MB, Groups, Record, lines
from speed.rows import ROWS

Points = dict[str, list[tuple[float, Record]]]


def section(results: Results, pictures: Path, folder: str) -> str:
    """Returns the text; draws into `pictures`, which the page knows as `folder`."""
    groups, settings = results.records("**/*"), results.settings
    groups.pop("settings")
    drawn = draw(groups, pictures, settings["device"])
    dates = sorted(group["date"] for group in groups.values())
    commands = dict.fromkeys(group["command"] for group in sorted(groups.values(), key=lambda group: group["date"]))
    parts = [f"## {'CPU' if settings['device'] == 'cpu' else 'CUDA'}"]
    if settings["quick"]:
        parts.append("**A trial on tiny volumes: these numbers mean nothing.**")
    facts = machine.lines(settings) + f"- measured: {dates[0] if dates else '-'} to {dates[-1] if dates else '-'} (UTC)\n"
    parts.append(f"{facts}- command: {', then '.join(f'`{command}`' for command in commands)}")
    parts += ["### revseg beside its peers", table(("what", "where", "mode", "measured"), lines(groups), words=4)]
    for name, (title, _) in ROWS.items():
        tables = [(_largest if name == "largest" else _group)(key, group) for key, group in of_row(groups, name).items()]
        parts += [f"### {title}", *tables] if tables else []
    parts += [f"![{picture.stem}]({folder}/{picture.name})" for picture in drawn]
    return "\n\n".join(parts if drawn else [*parts, "No plots: matplotlib is not installed."])


def of_row(groups: Groups, row: str) -> Groups:
    return {name: group for name, group in groups.items() if name == row or name.startswith(f"{row}/")}


def draw(groups: Groups, folder: Path, device: str) -> list[Path]:
    """Returns the pictures drawn: peak and step time against depth and volume, and the largest volume."""
    if not plots.available():
        return []
    depth, peaks = (_points(groups, row, lambda case: blocks_in(case["depth"])) for row in ("depth", "depth-peak"))
    volume, drawn = _points(groups, "volume", lambda case: prod(case["size"]) / 1e6), []
    for name, axis, left, right in (("depth", "blocks", peaks or depth, depth), ("volume", "million voxels", volume, volume)):
        if right:
            peak = _curves(left, lambda case: case["peak"] / MB if case["peak"] else None)
            time = _curves(right, lambda case: median(case["seconds"]) if case.get("seconds") else None)
            drawn.append(plots.curves(folder / f"{device}-{name}.png", axis, {"peak MB": peak, "seconds a step": time}))
    if "largest" in groups:
        found = groups["largest"]
        values = {PEERS[case["peer"]][0]: case["voxels"] / 1e6 for case in found["cases"] if "error" not in case}
        title = f"Trains in {found['limit'] / MB:.0f} MB (16 blocks)"
        drawn.append(plots.bars(folder / f"{device}-largest.png", "million voxels", title, values))
    return drawn


def _points(groups: Groups, row: str, position: Callable[[Record], float]) -> Points:
    """Returns of each peer its records by position."""
    points: Points = {}
    cases = (case for group in of_row(groups, row).values() for case in group["cases"] if "error" not in case)
    for x, case in sorted(((position(case), case) for case in cases), key=lambda point: point[0]):
        points.setdefault(PEERS[case["peer"]][0], []).append((x, case))
    return points


def _curves(points: Points, value: Callable[[Record], float | None]) -> plots.Curves:
    return {peer: [(x, y) for x, case in some if (y := value(case)) is not None] for peer, some in points.items()}


def _group(name: str, group: Record) -> str:
    sizes = [case["size"] for case in group["cases"]]
    caption = f"`{name}`"
    if sizes.count(sizes[0]) == len(sizes):
        caption += f": {sizes[0][0]} frames of {sizes[0][2]}x{sizes[0][1]}"
    header = ["", "blocks", "size", "peak MB", "reserved MB", "seconds", "fastest to slowest", "frames/s", "forward GFLOP"]
    return f"{caption}\n\n{table([*header, 'ms per forward GFLOP'], map(_row, group['cases']))}"


def _row(case: Record) -> Sequence[str]:
    blocks = "-" if case["peer"].startswith("monai") else str(blocks_in(case["depth"]))
    cells = [PEERS[case["peer"]][0], blocks, "x".join(map(str, case["size"]))]
    if "error" in case:
        return [*cells, case["error"], *[""] * 6]
    cells += [_megabytes(case["peak"]), _megabytes(case["reserved"])]
    seconds, operations = case.get("seconds"), f"{case['flops'] / 1e9:.4g}"
    if not seconds:
        return [*cells, "-", "-", "-", operations, "-"]
    typical, slowness = median(seconds), median(seconds) / case["flops"] * 1e12
    times = [f"{typical:.3g}", f"{min(seconds):.3g} to {max(seconds):.3g}", f"{case['size'][0] / typical:.3g}"]
    return [*cells, *times, operations, f"{slowness:.3g}"]


def _largest(_: str, group: Record) -> str:
    height, width = group["frame"]
    rows = []
    for case in group["cases"]:
        probes = ", ".join(f"{n}: {_megabytes(peak) if peak else 'out of memory'}" for n, peak in case["probes"].items())
        frames, voxels = case.get("error", case["frames"]), f"{case['voxels'] / 1e6:.3g}"
        rows.append((PEERS[case["peer"]][0], frames, voxels, _megabytes(case["peak"]), probes))
    caption = f"Frames of {width}x{height} that train in {group['limit'] / MB:.0f} MB, to 8; 16 blocks, MONAI its own depth."
    return f"{caption}\n\n" + table(("", "frames", "million voxels", "peak MB", "peaks measured (frames: MB)"), rows)


def _megabytes(value: float | None) -> str:
    return "-" if value is None else f"{value / MB:.1f}" if value < 100 * MB else f"{value / MB:.0f}"
