"""The sections that scripts/gpu writes into docs/results/gpu.md, from the JSON of a finished measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import machine
from harness.page import table, write_section

Record = dict[str, Any]


def write(found: Record, page: Path) -> None:
    """Writes a section for each part that ended well; raises ValueError for numbers of a rehearsal."""
    if found["small"]:
        raise ValueError("these numbers are of a rehearsal (--small) and mean nothing: measure without it")
    facts = machine.lines(found["machine"])
    write_section(page, "gpu", "summary", f"{facts}\n{summary(found)}")
    for name, tell in SECTIONS.items():
        members = {part: record for part, record in found["parts"].items() if part.split(" ")[0] == name and "found" in record}
        if members:
            write_section(page, "gpu", name, tell({part: record["found"] for part, record in members.items()}))


def summary(found: Record) -> str:
    rows = [(name, record["status"], f"{record['seconds']:.0f}") for name, record in found["parts"].items()]
    return table(("part", "result", "seconds"), rows, words=2)


def _steps(found: dict[str, Record]) -> str:
    cases = {name: case for part in found.values() for name, case in part.items()}
    rows = [
        (name, f"{case['seconds'] * 1e3:.1f}", _gigabytes(case), _number(case, "operations"), _number(case, "waits"))
        for name, case in cases.items()
    ]
    header = ("network and size", "ms", "peak GB, input included", "operations", "waits for the GPU")
    speeds = [
        f"{name}: {case['frames_a_second']:.0f} frames a second" for name, case in cases.items() if "frames_a_second" in case
    ]
    return "\n\n".join([table(header, rows), *speeds])


def _blocks(found: dict[str, Record]) -> str:
    rows = []
    for level, case in found["blocks"].items():
        for way in ("forward", "backward"):
            least = case.get(f"{way}_roofline")
            share = f"{least / case[way]:.2f}" if least else "-"
            rows.append((level, case["channels"], way, f"{case[way] * 1e3:.3f}", share))
    return table(("level", "channels", "way", "ms", "roofline / measured"), rows, words=1)


def _runs(found: dict[str, Record]) -> str:
    rows = [(name, *(_number(case, key) for key in ("J", "F", "JF", "seconds"))) for name, case in found.items()]
    return table(("run", "J", "F", "J&F", "seconds of training"), rows)


def _agreement(found: dict[str, Record]) -> str:
    case = found["agreement"]
    apart = ", ".join(f"{value:.1e}" for value in case["apart"])
    inverted = "inverted bit for bit" if case["inverted"] else "NOT inverted bit for bit"
    return f"Losses of the first steps beside those on the CPU, relative difference: {apart}; every step {inverted}."


def _number(case: Record, key: str) -> str:
    value = case.get(key)
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _gigabytes(case: Record) -> str:
    return "-" if case.get("peak") is None else f"{case['peak'] / 1e9:.2f}"


SECTIONS = {"agreement": _agreement, "steps": _steps, "run": _runs, "blocks": _blocks}
