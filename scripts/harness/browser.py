"""revseg-label in a real browser, and a hand that draws in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync")  # fmt: skip
CORNERS = 40
"""Clicks with which an outline is drawn."""

Mask = NDArray[np.uint8]


@dataclass
class Served:
    """A page, and the folder in which its command was typed."""

    folder: Path
    address: str
    process: subprocess.Popen[str]

    def end(self) -> None:
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def serve(video: Path, folder: Path, words: Sequence[str]) -> Served:
    """Starts revseg-label in a folder. Raises RuntimeError with what it said where it serves nothing."""
    line = [sys.executable, "-m", "revseg.label", str(video), "browser=false", "port=0", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(line, cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload]
    address = next((found[0] for text in process.stdout if (found := re.search(r"http://\S+", text))), None)
    if address is None:
        raise RuntimeError(process.stderr.read())
    return Served(folder, address, process)


def processor_seconds(process: int) -> float:
    """Returns what a process and those of its children that have ended took, in user mode."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[13])) / os.sysconf("SC_CLK_TCK")


def installed() -> str | None:
    """Returns the path of the system's browser."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """The system's browser, without a window. Raises RuntimeError where there is none."""
    from playwright.sync_api import sync_playwright  # of the extra dev

    path = installed()
    if path is None:
        raise RuntimeError("there is no Chromium: install the package chromium")
    with sync_playwright() as running:
        found = running.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found
        found.close()


class Hand:
    """Draws in the frame that is shown, at pixels of the video. size: (H, W) of the video."""

    def __init__(self, page: Any, size: tuple[int, int]) -> None:
        self.page, self.size = page, size

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Returns where a pixel lies on the page, as long as nobody zooms."""
        box, (height, width) = self.page.locator("#canvas").bounding_box(), self.size
        scale = 0.98 * min(box["width"] / width, box["height"] / height)
        left, top = (box["width"] - scale * width) / 2, (box["height"] - scale * height) / 2
        return box["x"] + left + scale * x, box["y"] + top + scale * y

    def stroke(self, *points: tuple[float, float]) -> None:
        """Drags from point to point."""
        self.page.mouse.move(*self.at(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.at(*point), steps=3)
        self.page.mouse.up()

    def outline(self, mask: Mask, corners: int = CORNERS) -> None:
        """Clicks corners along the outline of every part of a mask, but specks."""
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        self.page.keyboard.press("p")
        for contour in contours:
            if cv2.contourArea(contour) < 12:
                continue
            points = contour[:, 0]
            for x, y in points[:: max(1, len(points) // corners)]:
                self.page.mouse.click(*self.at(x + 0.5, y + 0.5))
            self.page.keyboard.press("Enter")

    def erase(self) -> None:
        """Removes the label of the frame, or fills its mask with background."""
        if self.page.locator("#remove:enabled").count():
            self.page.keyboard.press("Delete")
            self.page.locator("#remove:disabled").wait_for()

    def go(self, frame: int) -> None:
        """Goes to a frame, and waits until it is there."""
        while (shown := int(self.page.inner_text("#where").split()[1])) != frame:
            keys = ("Shift+Arrow" if abs(shown - frame) >= 10 else "Arrow") + ("Right" if shown < frame else "Left")
            self.page.keyboard.press(keys)
            self.page.wait_for_timeout(30)
        self.page.locator("#canvas[aria-busy=false]").wait_for()
