"""Sections of a page, and tables."""

from pathlib import Path

import pytest
from harness.page import span, table, write_section

pytestmark = pytest.mark.slow


def test_what_is_written_by_hand_around_a_section_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n\nBy hand, above.\n")
    write_section(page, "script", "x", "first")
    page.write_text(page.read_text() + "\nBy hand, below.\n")
    write_section(page, "script", "x", "second")
    marked = "<!-- script x: made by scripts/script.py -->\nsecond\n<!-- end of script x -->"
    assert page.read_text() == f"# Mine\n\nBy hand, above.\n\n{marked}\n\nBy hand, below.\n"


def test_half_a_section_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_section(page, "script", "x", "text")
    page.write_text(page.read_text().replace("<!-- end of script x -->", ""))
    with pytest.raises(ValueError, match="only one of the two markers"):
        write_section(page, "script", "x", "other")


def test_tables() -> None:
    assert table(["a", "b"], [["x", 1]]) == "| a | b |\n|---|--:|\n| x | 1 |"
    assert (span([16, 48, 32]), span([16])) == ("16 to 48", "16")
