"""Table, CSV and JSON of one small report."""

import csv
import json
from pathlib import Path

import pytest

from revseg.evaluation.davis import Report, Score
from revseg.evaluation.measures import Statistics
from revseg.evaluation.table import table, write_csv, write_json

REPORT = Report(
    "semi-supervised",
    {
        "pair": {
            1: Score(Statistics(0.8, 1.0, 0.1), Statistics(0.6, 0.5, 0.2)),
            3: Score(Statistics(0.4, 0.0, -0.1), Statistics(0.2, 0.0, 0.0)),
        },
        "single": {1: Score(Statistics(0.9, 1.0, 0.0), Statistics(1.0, 1.0, 0.4))},
    },
)
EXPECTED = """\
                       J&F-Mean    J-Mean  J-Recall   J-Decay    F-Mean  F-Recall   F-Decay
pair  object 1            0.700     0.800     1.000     0.100     0.600     0.500     0.200
pair  object 3            0.300     0.400     0.000    -0.100     0.200     0.000     0.000
pair                      0.500     0.600     0.500     0.000     0.400     0.250     0.100
single  object 1          0.950     0.900     1.000     0.000     1.000     1.000     0.400
-------------------------------------------------------------------------------------------
all (semi-supervised)     0.650     0.700     0.667     0.000     0.600     0.500     0.200"""


def test_table() -> None:
    assert table(REPORT) == EXPECTED


def test_csv(tmp_path: Path) -> None:
    write_csv(REPORT, tmp_path / "report.csv")
    with open(tmp_path / "report.csv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    scopes = [(line["scope"], line["sequence"], line["object"]) for line in lines]
    assert scopes == [
        ("object", "pair", "1"),
        ("object", "pair", "3"),
        ("sequence", "pair", ""),
        ("object", "single", "1"),
        ("sequence", "single", ""),
        ("overall", "", ""),
    ]
    assert [float(line["J&F-Mean"]) for line in lines] == pytest.approx([0.7, 0.3, 0.5, 0.95, 0.95, 0.65])
    assert float(lines[-1]["J-Recall"]) == pytest.approx(2 / 3)


def test_json(tmp_path: Path) -> None:
    write_json(REPORT, tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["protocol"] == "semi-supervised"
    assert content["overall"]["JF"] == pytest.approx(0.65)
    assert content["overall"]["F"] == pytest.approx({"mean": 0.6, "recall": 0.5, "decay": 0.2})
    assert content["sequences"]["pair"]["J"]["mean"] == pytest.approx(0.6)
    assert content["sequences"]["pair"]["objects"]["3"]["J"]["decay"] == pytest.approx(-0.1)


def test_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="report.json"):
        write_json(REPORT, tmp_path / "report.json")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
