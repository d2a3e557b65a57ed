"""The system's browser: one for all the tests of a process, as Playwright allows no second one beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))

from harness import browser  # noqa: E402


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, without a window."""
    if browser.installed() is None:
        pytest.skip("no Chromium: install the package chromium")
    with browser.browser() as running:
        yield running
