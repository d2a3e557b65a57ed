"""report.html: everything in one file, and nothing of what it shows is taken for markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from revseg.output.album import PARTS, SHEET, Album, evenly
from revseg.output.chart import chart, thinned
from revseg.output.report import Frames, Report, page, write_report

FRAMES = 40


def album(labelled: tuple[int, ...] = (0, 20)) -> Album:
    found = Album(FRAMES, labelled)
    for frame in range(FRAMES):
        found.add(frame, np.full((30, 1000, 3), 6 * frame, np.uint8), expected(frame))
    return found


def expected(frame: int) -> float:
    return 0.9 - 0.3 * (frame == 7) - 0.5 * (frame == 33) - 0.001 * frame


def report(**more: Any) -> Report:
    names = [f"{frame:05d}" for frame in range(FRAMES)]
    frames = Frames(
        names,
        [expected(frame) for frame in range(FRAMES)],
        album().small,
        album().large,
        labelled=(0, 20),
        true={5: 0.5, 6: 0.25},
    )
    metrics = {"J": 0.81234, "F": 0.7, "JF": 0.75, "expected_J": 0.8, "label_next": ["00033"], "phases": {"training": 12.34}}
    metrics |= {"peak_memory_bytes": 750_000_000, "inverted_exactly": "6 of 6 steps"}
    metrics |= {"objects": {"1": {"name": "<u>dog</u>", "J": 0.8, "F": 0.7}}}
    return Report("<b>my</b> & video.mp4", "about", metrics, losses=[(1, 0.9), (2, 0.4)], frames=frames, **more)


class Reader(HTMLParser):
    """What a page refers to, and whether its elements close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.references += [str(named[name]) for name in ("src", "href") if name in named]
        if tag == "img":
            self.pictures.append(str(named["alt"]))
        if tag not in ("meta", "img", "line", "polyline", "circle", "br") and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("meta", "img", "line", "polyline", "circle"):
            return
        assert self.open.pop() == tag


def test_one_file_of_its_own(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report(settings="a: <i>", command="revseg-train 'x & y'"))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    read = Reader(text)
    assert read.open == []
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in read.references)
    assert "<script" not in text
    assert "url(" not in text
    assert "<b>my" not in text
    assert "<i>" not in text
    assert "1 &lt;u&gt;dog&lt;/u&gt;" in text
    for told in ("0.812", "0.750", "12.3 s", "0.75 GB", "6 of 6 steps", "&lt;b&gt;my&lt;/b&gt; &amp; video.mp4"):
        assert told in text


def test_frames_that_are_shown() -> None:
    read = Reader(page(report()))
    large = len(album().large)
    assert read.pictures[0] == "00033, expected 0.37"  # to be labelled next
    assert "00007, expected 0.59" in read.pictures[1:large]
    assert not any(alt.startswith(("00000", "00020")) for alt in read.pictures[: 1 + 6])
    assert len(read.pictures) == 1 + 6 + SHEET
    assert "00005, expected 0.90, true 0.50" in read.pictures


def test_album_keeps_the_worst_frame_of_each_part() -> None:
    found = album()
    assert list(found.small) == evenly(FRAMES, SHEET)
    assert {7, 33} <= set(found.large)
    assert not {0, 20} & set(found.large)
    assert next(iter(found.large)) == 33
    assert PARTS <= len(found.large) <= PARTS + 2


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_videos(frames: int) -> None:
    found = Album(frames, [0])
    for frame in range(frames):
        found.add(frame, np.zeros((9, 9, 3), np.uint8), 0.5)
    assert len(found.small) == frames
    assert sorted(found.large) == list(range(1, frames))
    told = Frames([str(frame) for frame in range(frames)], [0.5] * frames, found.small, found.large, labelled=[0])
    assert Reader(page(Report("t", "a", {"volume_J": 0.5}, frames=told))).open == []


def test_of_many_videos_there_are_no_pictures() -> None:
    text = page(Report("DAVIS", "about", {"J": 0.5, "F": 0.5, "JF": 0.5, "phases": {}}))
    assert Reader(text).pictures == []
    assert "0.500" in text


def test_a_long_curve_keeps_its_spikes() -> None:
    points = [(float(step), 0.0) for step in range(100_000)]
    points[77_777] = (77_777.0, 5.0)
    kept = thinned(points)
    assert len(kept) <= 1300
    assert (77_777.0, 5.0) in kept
    (line,) = re.findall(r'<polyline class="loss" points="([^"]*)"', chart({"loss": points}, x_label="step"))
    assert len(line) < 30_000


def test_values_that_are_not_finite_leave_a_gap() -> None:
    drawn = chart({"loss": [(0, 1.0), (1, float("nan")), (2, float("inf")), (3, 0.5)]}, x_label="step")
    assert "nan" not in drawn
    assert "inf" not in drawn


def long_report(path: Path, size: tuple[int, int]) -> Path:
    """Of 1,000 frames of noise, which JPEG can hardly make smaller, all with labels that are held out, and of 3,000 steps."""
    random, count = np.random.default_rng(0), 1000
    pictures = random.integers(0, 256, (4, *size, 3), dtype=np.uint8)
    found = Album(count, [0, 500])
    sure = random.random(count)
    for frame in range(count):
        found.add(frame, pictures[frame % 4], sure[frame])
    frames = Frames(
        [f"{frame:05d}" for frame in range(count)], sure, found.small, found.large, labelled=[0, 500], true=dict(enumerate(sure))
    )
    losses = [(step, 1 / (1 + step)) for step in range(3000)]
    write_report(path, Report("long.mp4", "about", {"J": 0.5, "label_next": ["00033"]}, losses=losses, frames=frames))
    return path


@pytest.mark.slow
def test_the_size_of_the_file_is_bounded(tmp_path: Path) -> None:
    assert long_report(tmp_path / "report.html", (1280, 720)).stat().st_size < 6e6


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_browser(width: int, chromium: Any, tmp_path: Path) -> None:
    """It is there within a second, asks nobody for anything, and can be read without scrolling sideways."""
    context = chromium.new_context(viewport={"width": width, "height": 800})
    shown, asked = context.new_page(), []
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(f"file://{long_report(tmp_path / 'report.html', (180, 320))}")
    assert shown.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") < 1000
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert all(url.startswith(("file:", "data:")) for url in asked)
    text = shown.locator("svg text").first
    assert text.evaluate("node => node.getBoundingClientRect().height") > 8
    context.close()
