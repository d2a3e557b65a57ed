"""The page of a real video, served by the real command, looked at in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.harm import wait_for

CLIP = Path(__file__).parents[1] / "data" / "clip" / "clip.mp4"
QUICK = [
    "network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4", "data.height=32", "placements=1",
    "evidence.flow.least_height=40", "device=cpu", "training.steps=4",
]  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Served:
    """A page, and the folder in which its command was typed."""

    folder: Path
    address: str
    process: subprocess.Popen[str]

    def ask(self, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> Any:
        """The answer of the server."""
        return urlopen(Request(self.address + path, data=data, method=method, headers=headers), timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """serve(words...): starts revseg-label of the clip in a folder of its own."""
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str, video: Path = CLIP) -> Served:
        line = [sys.executable, "-m", "revseg.label", str(video), "browser=false", "port=0", *QUICK, *words]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout is not None
        address = next((found[0] for text in process.stdout if (found := re.search(r"http://\S+", text))), None)
        assert address, process.stderr and process.stderr.read()
        return Served(tmp_path, address, process)

    yield start
    for process in begun:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's browser, without a window."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium: install the package chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=[*flags, "--disable-sync"])
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Any) -> Iterator[Callable[..., Any]]:
    """window(served): a new window on the page; no error may come up in it but those of refused requests."""
    contexts, errors = [], []

    def new(served: Served, **settings: Any) -> Any:
        context = chromium.new_context(viewport={"width": 1000, "height": 700}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(served.address)
        page.get_by_text("frame 0 of 20", exact=True).wait_for()
        page.locator("#canvas[aria-busy=false]").wait_for()
        return page

    yield new
    for context in contexts:
        context.close()
    assert errors == []


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


def wait_for_files(folder: Path, names: list[str]) -> None:
    wait_for(lambda: files_of(folder) == names, 30)
