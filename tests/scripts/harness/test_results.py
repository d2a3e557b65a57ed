"""A folder of results: what is there is kept, and is not mixed with what was measured otherwise."""

from pathlib import Path

import pytest
from harness.results import Results

pytestmark = pytest.mark.slow


def test_keeps_and_finds_in_the_order_of_numbers(tmp_path: Path) -> None:
    results = Results(tmp_path, {"height": 96})
    for key in ("depth/16", "depth/4", "floor"):
        results.keep(key, {"peak": key})
    again = Results(tmp_path, {"height": 96})
    assert list(again.records("depth/*")) == ["depth/4", "depth/16"]
    found = again.get("floor")
    assert found["peak"] == "floor"
    assert found["command"].startswith("python scripts/")
    assert again.get("other") is None


def test_other_settings_are_refused_or_start_afresh(tmp_path: Path) -> None:
    Results(tmp_path, {"height": 96}).keep("a", {})
    with pytest.raises(ValueError, match="holds results with height=96, not 48: choose another --output"):
        Results(tmp_path, {"height": 48})
    assert Results(tmp_path, {"height": 48}, fresh=True).get("a") is None
