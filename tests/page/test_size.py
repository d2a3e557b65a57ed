"""The page stays small enough to be read: there is no framework and no build step behind it."""

from __future__ import annotations

import ast
from pathlib import Path

PAGE = Path(__file__).parents[2] / "revseg" / "page"
MOST = 1500
"""Lines of code."""


def lines_of_code(path: Path) -> int:
    """Lines without those that are empty, and without comments and docstrings."""
    lines = path.read_text(encoding="utf-8").splitlines()
    told: set[int] = set()
    if path.suffix == ".py":
        texts = (node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.Expr))
        told = {
            number for text in texts if isinstance(text.value, ast.Constant) for number in range(text.lineno, text.end_lineno + 1)
        }
    return sum(
        bool(line.strip()) and not line.strip().startswith(("#", "//") if path.suffix != ".css" else "/*") and number not in told
        for number, line in enumerate(lines, 1)
    )


def test_lines_of_code() -> None:
    files = [path for path in PAGE.rglob("*") if path.suffix in (".py", ".js", ".html", ".css")]
    assert sum(map(lines_of_code, files)) <= MOST


def test_no_line_hides_several() -> None:
    assert all(len(line) <= 140 for path in PAGE.rglob("*.*s") for line in path.read_text(encoding="utf-8").splitlines())
