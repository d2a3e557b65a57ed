"""A long video on revseg-label's page: when it can be used, how fast it goes from frame to frame, how fluid its strip is.

    python scripts/label_long.py long.mp4 [--page docs/results/label.md]

Fluid: frames a second that the browser draws while the strip is dragged through the whole video, and while it is zoomed in and
scrolled. Memory is that of the server, whose libraries alone take about 570 MB, and of the browser's process for the page.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from harness import arguments
from harness.browser import browser, processor_seconds, serve
from harness.page import table, write_section

JUMPS, MOVES = 20, 120
RATE = """
window.drawn = [];
const count = (now) => { drawn.push(now); requestAnimationFrame(count); };
requestAnimationFrame(count);
"""
HEADER = ("video", "frames", "first frame, s", "all frames, s", "server's processor, s", "to a far frame, ms",
          "to the next frame, ms", "dragged, frames/s", "scrolled, frames/s", "longest pause, ms", "server, MB",
          "page, MB")  # fmt: skip


def main() -> None:
    given = parse()
    rows = []
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for video in given.videos:
            rows.append(measured(chromium, video.absolute(), Path(folder)))
            print("  ".join(rows[-1]), flush=True)
    text = table(HEADER, rows)
    print(text)
    if given.page:
        write_section(given.page, "label_long", "long videos", text)


def measured(chromium: Any, video: Path, folder: Path) -> list[str]:
    """Returns the row of a video."""
    begun = time.monotonic()
    served = serve(video, folder, [])
    try:
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(RATE)
        page.goto(served.address)
        page.locator("#canvas[aria-busy=false]").wait_for()
        first = time.monotonic() - begun
        page.locator("#where", has_text=re.compile(r"of \d+$")).wait_for(timeout=3_600_000)
        whole, worked = time.monotonic() - begun, processor_seconds(served.process.pid)
        frames = int(page.inner_text("#where").split()[3])
        box = page.locator("#strip").bounding_box()
        left, width, middle = box["x"], box["width"], box["y"] + 20
        jumps = [seconds(page, lambda at=at: page.mouse.click(left + at * width, middle)) for at in spread(JUMPS)]
        steps = [seconds(page, lambda: page.keyboard.press("ArrowRight")) for _ in range(JUMPS)]
        page.mouse.move(left + 2, middle)
        page.mouse.down()
        dragged = fluid(page, lambda share: page.mouse.move(left + 2 + share * (width - 4), middle))
        page.mouse.up()
        for _ in range(12):
            page.mouse.wheel(0, -400)
        scrolled = fluid(page, lambda share: page.mouse.wheel(-150, 0))
        pause = max(dragged[1], scrolled[1])
        memory = resident(served.process.pid), page_memory(page)
        page.close()
    finally:
        served.end()
    times = [f"{first:.1f}", f"{whole:.0f}", f"{worked:.0f}", f"{1000 * median(jumps):.0f}", f"{1000 * median(steps):.0f}"]
    rates = [f"{dragged[0]:.0f}", f"{scrolled[0]:.0f}", f"{1000 * pause:.0f}"]
    return [video.name, str(frames), *times, *rates, *(f"{each / 1e6:.0f}" for each in memory)]


def spread(count: int) -> list[float]:
    """Returns places all over the strip, far from one another."""
    return [(0.5 + 0.618 * number) % 1 for number in range(count)]


def seconds(page: Any, go: Any) -> float:
    """Returns the time from what is done until the frame is there."""
    begun = time.monotonic()
    go()
    page.locator("#canvas[aria-busy=false]").wait_for()
    return time.monotonic() - begun


def fluid(page: Any, move: Any) -> tuple[float, float]:
    """Returns how many frames a second the browser draws meanwhile, and the longest pause between two."""
    page.evaluate("drawn.length = 0")
    for number in range(MOVES):
        move(number / (MOVES - 1))
    times = page.evaluate("drawn")
    pauses = [(after - before) / 1000 for before, after in zip(times, times[1:], strict=False)]
    return 1 / median(pauses), max(pauses)


def resident(process: int) -> int:
    """Returns the memory of a process in bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def page_memory(page: Any) -> int:
    """Returns the memory of the browser's process that draws the page."""
    session = page.context.browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return max(resident(each["id"]) for each in found if each["type"] == "renderer")


def parse() -> argparse.Namespace:
    made = arguments.parser(__doc__)
    made.add_argument("videos", nargs="+", type=Path)
    made.add_argument("--page", type=Path, help="Markdown page whose section is written")
    return made.parse_args()


if __name__ == "__main__":
    main()
