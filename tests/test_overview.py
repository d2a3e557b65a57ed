"""revseg-runs: what there is, the newest first."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from revseg.config import RunsConfig
from revseg.overview import list_runs
from revseg.runs.lock import locked


def write(run: Path, start: int, *, metrics: dict | None = None, **record: object) -> None:
    run.mkdir(parents=True)
    known = {"state": "finished", "start": start, "started": "2026-01-02T03:04:05+00:00", "video": None, "labels": {}}
    (run / "run.json").write_text(json.dumps(known | record))
    if metrics is not None:
        (run / "metrics.json").write_text(json.dumps(metrics))


def lines(folder: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.INFO, "revseg"):
        list_runs(RunsConfig(folder=str(folder)))
    (record,) = caplog.records
    return record.getMessage().splitlines()


def test_newest_first_with_what_is_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "old", 1, metrics={"JF": 0.91234, "expected_J": 0.8, "steps": 60, "seconds": 12.4})
    labels = {"00000.png": "", "00007.png": ""}
    write(tmp_path / "new", 2, state="interrupted", video={"path": "/videos/my film.mp4"}, labels=labels)
    (tmp_path / "no run").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    header, *rows = lines(tmp_path, caplog)
    assert header.split("  ")[0] == "run"
    assert [row.split()[0] for row in rows] == ["new", "old", "damaged"]
    assert "interrupted" in rows[0]
    assert "my film.mp4  2" in rows[0]
    assert "0.912  0.800" in rows[1]
    assert rows[1].endswith("12 s")
    assert rows[2].split() == ["damaged", "unreadable"]


def test_a_run_whose_process_was_killed_is_not_running(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "killed", 1, state="running")
    write(tmp_path / "at work", 2, state="running")
    with locked(tmp_path / "killed", "revseg-train"):
        pass
    with locked(tmp_path / "at work", "revseg-train"):
        _, *rows = lines(tmp_path, caplog)
    assert [row.split("  ")[1].strip() for row in rows] == ["running", "interrupted"]


def test_nothing_to_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no runs in .*: give their folder, or train"):
        list_runs(RunsConfig(folder=str(tmp_path)))
    with pytest.raises(ValueError, match="is no folder"):
        list_runs(RunsConfig(folder=str(tmp_path / "x")))
