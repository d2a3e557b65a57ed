"""revseg-runs: the runs of a folder, the newest first, with their videos, dates, measures and states.

revseg-runs                 those in runs/
revseg-runs elsewhere       those in another folder
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from revseg.cli.main import runs as main
from revseg.config import RunsConfig
from revseg.runs.folder import start_of
from revseg.runs.lock import in_use

HEADER = ("run", "state", "started", "video", "labels", "steps", "J&F", "expected J", "time")


def list_runs(config: RunsConfig, given: Collection[str] = ()) -> None:
    """Prints the table."""
    folder = Path(config.folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: give that of the runs")
    runs = sorted((file.parent for file in folder.glob("*/run.json")), key=start_of, reverse=True)
    if not runs:
        raise ValueError(f"there are no runs in {folder}: give their folder, or train with revseg-train")
    logging.getLogger("revseg").info(table([row(run) for run in runs]))


def row(run: Path) -> tuple[str, ...]:
    """Returns what is told of a run; of one whose record is damaged, its name and that."""
    record, metrics = _read(run / "run.json"), _read(run / "metrics.json")
    if not record:
        return (run.name, "unreadable", *[""] * (len(HEADER) - 2))
    video, seconds = (record.get("video") or {}).get("path"), metrics.get("seconds")
    return (
        run.name,
        _state(run, record),
        _local(record.get("started")),
        Path(video).name if video else "a dataset",
        str(len(record.get("labels") or ())),
        str(metrics.get("steps", "")),
        _number(metrics.get("JF")),
        _number(metrics.get("expected_J")),
        f"{seconds:.0f} s" if isinstance(seconds, (int, float)) else "",
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows below their header, in columns."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = (zip(cells, widths, strict=True) for cells in (HEADER, *rows))
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines)


def _state(run: Path, record: dict[str, Any]) -> str:
    """A process that is killed cannot say so: its run is running without a process."""
    state = str(record.get("state", ""))
    return "interrupted" if state == "running" and not in_use(run) else state


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else ""


def _local(time: Any) -> str:
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M")
    except (TypeError, ValueError):
        return ""


if __name__ == "__main__":
    main()
