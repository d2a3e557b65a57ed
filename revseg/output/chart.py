"""Curves as SVG, written into a page: no script, no file beside it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 200, 56, 26, 14
MOST = 1200
"""Points of a curve at most; more would not be seen, and make the page slow."""


def chart(curves: Mapping[str, Points], *, x_label: str, y_range: tuple[float, float] | None = None, marks: Points = ()) -> str:
    """Returns an SVG element. curves: by name, which becomes the class of the line; marks: points that stand alone."""
    shown = {name: thinned(points) for name, points in curves.items() if points}
    everything = [point for points in shown.values() for point in points if math.isfinite(point[1])] or [(0.0, 0.0)]
    x_low, x_high = min(x for x, _ in everything), max(x for x, _ in everything)
    y_low, y_high = y_range or (min(0.0, *(y for _, y in everything), 0.0), max(*(y for _, y in everything), 1e-9))

    def at(x: float, y: float) -> tuple[float, float]:
        right = LEFT + (x - x_low) / ((x_high - x_low) or 1) * (WIDTH - LEFT - 8)
        return right, TOP + (1 - (y - y_low) / ((y_high - y_low) or 1)) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(", ".join(shown))}">']
    for share in (0, 0.5, 1):
        value = y_low + share * (y_high - y_low)
        _, y = at(x_low, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for x, anchor in ((x_low, "start"), (x_high, "end")):
        parts.append(f'<text x="{at(x, y_low)[0]:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{x:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_label)}</text>')
    for name, points in shown.items():
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(x, y) for x, y in points if math.isfinite(y)))
        parts.append(f'<polyline class="{html.escape(name)}" points="{line}"/>')
    parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"/>' for px, py in (at(x, y) for x, y in marks)]
    return "".join([*parts, "</svg>"])


def thinned(points: Points, most: int = MOST) -> list[tuple[float, float]]:
    """Returns a curve with at most about so many points: of each part its least and its greatest, so that no spike is lost."""
    if len(points) <= most:
        return list(points)
    kept: list[tuple[float, float]] = []
    each = math.ceil(2 * len(points) / most)
    for start in range(0, len(points), each):
        part = points[start : start + each]
        low, high = (choose(range(len(part)), key=lambda place: part[place][1]) for choose in (min, max))
        kept += [part[place] for place in sorted({low, high})]
    return kept
