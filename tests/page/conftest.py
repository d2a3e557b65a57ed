"""The page of a real video, served by the real command, looked at in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.browser_fixtures import browser
from tests.harm import wait_for

CLIP = Path(__file__).parents[1] / "data" / "clip" / "clip.mp4"
LISTENING = """
window.heard = [];  // the states that came, after the page has been told of them
window.deaf = false;  // the page is told of none
window.EventSource = class extends EventSource {
  set onmessage(told) {
    window.tell = (state) => told({ data: JSON.stringify(state) });
    super.onmessage = (event) => { if (!deaf) { told(event); heard.push(JSON.parse(event.data)); } };
  }
};
"""
QUICK = [
    "network.channels=2", "network.levels=1", "network.depth=1", "network.rank=4", "data.height=32", "placements=1",
    "evidence.flow.least_height=40", "device=cpu", "training.steps=4",
]  # fmt: skip


@dataclass
class Page(browser.Served):
    """A page that can be asked without a browser, too."""

    def ask(self, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> Any:
        """The answer of the server."""
        return urlopen(Request(self.address + path, data=data, method=method, headers=headers), timeout=60)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """serve(words...): starts revseg-label of the clip in a folder of its own."""
    begun: list[Page] = []

    def start(*words: str, video: Path = CLIP) -> Page:
        begun.append(Page(**vars(browser.serve(video, tmp_path, [*QUICK, *words]))))
        return begun[-1]

    yield start
    for page in begun:
        page.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page for the tests of a module that need none of their own."""
    page = Page(**vars(browser.serve(CLIP, tmp_path_factory.mktemp("shared"), QUICK)))
    yield page
    page.end()


@pytest.fixture
def window(chromium: Any) -> Iterator[Callable[..., Any]]:
    """window(served): a new window on the page, in which no error may come up."""
    contexts, errors = [], []

    def new(served: Page, frames: int = 20, **settings: Any) -> Any:
        context = chromium.new_context(viewport={"width": 1000, "height": 700}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(LISTENING)
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(served.address)
        page.get_by_text(f"frame 0 of {frames}", exact=True).wait_for(timeout=120_000)
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
