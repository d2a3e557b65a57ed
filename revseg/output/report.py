"""report.html: what a run did, in one file that any browser opens without a network, on paper and on a phone too."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from revseg.output.chart import Points, chart
from revseg.runs.atomic import replacing

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1c2430; --quiet: #667085; --line: #d8dde5;
  --a: #1769d2; --b: #c2410c; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181f; --text: #e8ebf0; --quiet: #9aa5b5; --line: #343c49; --a: #5aa9ff; --b: #ff9b5a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 1rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p, figcaption, .quiet { color: var(--quiet); }
.numbers { display: flex; flex-wrap: wrap; gap: 1.6rem; margin: 1rem 0; }
.numbers div { min-width: 6rem; }
.numbers strong { display: block; font-size: 1.6rem; font-variant-numeric: tabular-nums; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 8px; }
.large { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 12px; }
figure { margin: 0; }
figure img { width: 100%; display: block; border-radius: 4px; }
figcaption { font-size: 12px; font-variant-numeric: tabular-nums; }
figure.labelled img { outline: 2px solid var(--a); }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--quiet); }
svg .grid { stroke: var(--line); }
svg polyline { fill: none; stroke: var(--a); stroke-width: 1.6; vector-effect: non-scaling-stroke; }
svg polyline.true { stroke: var(--b); }
svg circle { fill: var(--a); }
@media (max-width: 480px) { svg text { font-size: 18px; } }
.expected { color: var(--a); }
.true { color: var(--b); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
td, th { padding: .2rem .9rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .7rem; border: 1px solid var(--line); border-radius: 5px;
  font-size: 12px; }
"""

WORST = 6
"""Frames beside those to be labelled next that are shown large."""


@dataclass(frozen=True)
class Frames:
    """What is told of the frames of one video."""

    names: Sequence[str]
    expected: Sequence[float]
    """J expected of each."""
    small: Mapping[int, bytes] = field(default_factory=dict)
    """JPEG files of the contact sheet."""
    large: Mapping[int, bytes] = field(default_factory=dict)
    """JPEG files of the worst frames, the worst of all first."""
    labelled: Sequence[int] = ()
    """Frames that are trained on."""
    true: Mapping[int, float] = field(default_factory=dict)
    """J of the frames whose labels are held out."""

    @classmethod
    def together(cls, videos: Mapping[str, Frames]) -> Frames:
        """Returns the frames of several videos, one video after the other, each frame named with its video."""
        names, expected, labelled = list[str](), list[float](), list[int]()
        small, large, true = dict[int, bytes](), dict[int, bytes](), dict[int, float]()
        for name, video in videos.items():
            first = len(names)
            names += [f"{name}/{frame}" for frame in video.names]
            expected += video.expected
            labelled += [first + frame for frame in video.labelled]
            small |= {first + frame: picture for frame, picture in video.small.items()}
            large |= {first + frame: picture for frame, picture in video.large.items()}
            true |= {first + frame: value for frame, value in video.true.items()}
        worst = sorted(large, key=lambda frame: expected[frame])
        return cls(names, expected, small, large={frame: large[frame] for frame in worst}, labelled=labelled, true=true)


@dataclass(frozen=True)
class Report:
    """What is told of a run."""

    title: str
    about: str
    """One sentence: on what, and how far."""
    metrics: Mapping[str, Any]
    """As in metrics.json."""
    losses: Points = ()
    """(step, loss)."""
    frames: Frames | None = None
    settings: str = ""
    command: str = ""


def write_report(path: Path, report: Report) -> None:
    """Writes the page."""
    with replacing(path) as temporary:
        temporary.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """Returns the page as HTML."""
    sections = [
        _headline(report),
        _section("Curves", _curves(report)),
        *(_album(report.frames, report.metrics.get("label_next") or ()) if report.frames else ()),
        _section("Videos", _videos(report.metrics.get("videos"))),
        _section("Objects", _objects(report.metrics.get("objects"))),
        _section("Time and memory", _phases(report.metrics)),
        _section("Settings", _settings(report)),
    ]
    title = html.escape(report.title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1><p>{html.escape(report.about)}</p>\n{''.join(sections)}</body></html>\n"
    )


def _album(frames: Frames, label_next: Sequence[str]) -> Iterable[str]:
    """Yields the sections with pictures."""
    chosen = [frame for frame in frames.large if frames.names[frame] in label_next]
    others = [frame for frame in frames.large if frame not in chosen][:WORST]
    yield _section("Label next", _pictures(frames, frames.large, chosen, kind="large"), "Where one label more helps most.")
    yield _section("Least sure", _pictures(frames, frames.large, others, kind="large"), "The worst frames of other parts.")
    yield _section("All of it", _pictures(frames, frames.small, sorted(frames.small), kind="sheet"), "Framed: labelled by hand.")


def _section(title: str, content: str, remark: str = "") -> str:
    if not content:
        return ""
    return f"<section><h2>{title}</h2>{f'<p>{remark}</p>' if remark else ''}{content}</section>\n"


def _headline(report: Report) -> str:
    metrics = report.metrics
    numbers = [("J&F", metrics.get("JF")), ("J", metrics.get("J")), ("F", metrics.get("F"))]
    if metrics.get("J") is None:
        numbers = [("J of the volume", metrics.get("volume_J"))]
    numbers.append(("J expected", metrics.get("expected_J")))
    shown = [f"<div>{html.escape(name)}<strong>{value:.3f}</strong></div>" for name, value in numbers if value is not None]
    return f'<div class="numbers">{"".join(shown)}</div>'


def _curves(report: Report) -> str:
    figures = []
    if (frames := report.frames) is not None and len(frames.names) > 1:
        expected, true = list(enumerate(frames.expected)), sorted(frames.true.items())
        marks = [(frame, frames.expected[frame]) for frame in frames.labelled]
        told = '<span class="expected">J expected</span> of each frame'
        told += ', and the <span class="true">true one</span>' if true else ""
        curves: dict[str, Points] = {"expected": expected, "true": true}
        figures.append((told + "; dots: labelled", chart(curves, x_label="frame", y_range=(0, 1), marks=marks)))
    if len(report.losses) > 1:
        figures.append(("Loss of each step", chart({"loss": report.losses}, x_label="step")))
    shown = "".join(f"<figure>{drawn}<figcaption>{told}</figcaption></figure>" for told, drawn in figures)
    return f'<div class="curves">{shown}</div>' if shown else ""


def _pictures(frames: Frames, pictures: Mapping[int, bytes], chosen: Iterable[int], *, kind: str) -> str:
    figures = []
    for frame in chosen:
        told = f"{frames.names[frame]}, expected {frames.expected[frame]:.2f}"
        if frame in frames.true:
            told += f", true {frames.true[frame]:.2f}"
        data = base64.b64encode(pictures[frame]).decode()
        framed = ' class="labelled"' if frame in frames.labelled else ""
        name = html.escape(told)
        image = f'<img loading="lazy" alt="{name}" src="data:image/jpeg;base64,{data}">'
        figures.append(f"<figure{framed}>{image}<figcaption>{name}</figcaption></figure>")
    return f'<div class="{kind}">{"".join(figures)}</div>' if figures else ""


def _videos(videos: Mapping[str, Mapping[str, Any]] | None) -> str:
    """The measures of each of several videos, as far as they are known, and its objects."""
    if not videos:
        return ""
    columns = [key for key in ("J", "F", "JF", "expected_J") if any(measures[key] is not None for measures in videos.values())]
    rows = [
        [name, *("" if measures[key] is None else f"{measures[key]:.3f}" for key in columns)] for name, measures in videos.items()
    ]
    return _table(["video", *columns], rows)


def _objects(objects: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not objects:
        return ""
    columns = [key for key in next(iter(objects.values())) if key != "name"]
    rows = [
        [f"{number} {measures.get('name', '')}".strip(), *(f"{measures[column]:.3f}" for column in columns)]
        for number, measures in objects.items()
    ]
    return _table(["object", *columns], rows)


def _phases(metrics: Mapping[str, Any]) -> str:
    rows = [[name, f"{seconds:.1f} s"] for name, seconds in metrics.get("phases", {}).items()]
    if (peak := metrics.get("peak_memory_bytes")) is not None:
        rows.append(["peak memory", f"{peak / 1e9:.2f} GB"])
    if "inverted_exactly" in metrics:
        rows.append(["inverted exactly", str(metrics["inverted_exactly"])])
    return _table(["", ""], rows) if rows else ""


def _settings(report: Report) -> str:
    folded = f"<details><summary>All settings</summary><pre>{html.escape(report.settings)}</pre></details>"
    return f"<pre>{html.escape(report.command)}</pre>{folded}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header) if any(header) else ""
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
