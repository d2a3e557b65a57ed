"""Markdown: tables, and sections of a page between markers; what is written by hand around them stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness import ROOT
from revseg.runs.atomic import replacing


def write_section(page: Path, script: str, name: str, text: str) -> None:
    """Replaces what is between the markers of `name`, or adds it at the end of the page, which is made if it is absent."""
    file = script if (ROOT / "scripts" / script).is_file() else f"{script}.py"
    begin, end = f"<!-- {script} {name}: made by scripts/{file} -->", f"<!-- end of {script} {name} -->"
    before = page.read_text(encoding="utf-8") if page.exists() else f"# {page.stem.capitalize()}\n"
    if (begin in before) != (end in before):
        raise ValueError(f"{page} has only one of the two markers of section {name}: add {begin if end in before else end}")
    section = f"{begin}\n{text.strip()}\n{end}"
    if begin in before:
        head, rest = before.split(begin, 1)
        new = head + section + rest.split(end, 1)[1]
    else:
        new = f"{before.rstrip()}\n\n{section}\n"
    with replacing(page) as temporary:
        temporary.write_text(new, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """Returns a Markdown table whose first `words` columns hold words, all others numbers."""
    rule = ["---" if column < words else "--:" for column in range(len(header))]
    return "\n".join([row(header), f"|{'|'.join(rule)}|", *map(row, rows)])


def row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def span(numbers: Sequence[int]) -> str:
    """Returns 16, or 16 to 48."""
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"
