"""Writes a report as a table for readers, as CSV for spreadsheets and as JSON for programs."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from revseg.evaluation.davis import Report, Score, average
from revseg.runs.atomic import replacing

MEASURES = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")


def table(report: Report) -> str:
    """Returns one line per object, with a line for the sequence where it has several, and a last line for all."""
    rows = [
        (f"{name}  object {number}" if number else name or f"all ({report.protocol})", score)
        for scope, name, number, score in _rows(report)
        if scope != "sequence" or len(report.sequences[name]) > 1
    ]
    width = max(len(label) for label, _ in rows)
    header = " " * width + "".join(f"{measure:>10}" for measure in MEASURES)
    *lines, last = [label.ljust(width) + "".join(f"{number:10.3f}" for number in _values(score)) for label, score in rows]
    return "\n".join([header, *lines, "-" * len(header), last])


def write_csv(report: Report, path: Path) -> None:
    """Writes the columns scope (object, sequence or overall), sequence, object, then `MEASURES`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["scope", "sequence", "object", *MEASURES])
    for scope, name, number, score in _rows(report):
        writer.writerow([scope, name, number or "", *_values(score)])
    _write(path, text.getvalue())


def write_json(report: Report, path: Path) -> None:
    """Writes all scores, each as {"JF": mean, "J": {"mean", "recall", "decay"}, "F": the same}."""
    sequences = {
        name: _as_json(average(objects.values())) | {"objects": {number: _as_json(score) for number, score in objects.items()}}
        for name, objects in report.sequences.items()
    }
    content = {"protocol": report.protocol, "overall": _as_json(report.overall), "sequences": sequences}
    _write(path, json.dumps(content, indent=2) + "\n")


def _rows(report: Report) -> Iterator[tuple[str, str, int | None, Score]]:
    """Yields (scope, sequence, object, score), objects before their sequence, all at the end."""
    for name, objects in report.sequences.items():
        for number, score in objects.items():
            yield "object", name, number, score
        yield "sequence", name, None, average(objects.values())
    yield "overall", "", None, report.overall


def _values(score: Score) -> tuple[float, ...]:
    """Returns the numbers of a score in the order of `MEASURES`."""
    J, F = score.J, score.F
    return score.jf, J.mean, J.recall, J.decay, F.mean, F.recall, F.decay


def _as_json(score: Score) -> dict[str, object]:
    return {"JF": score.jf, "J": vars(score.J), "F": vars(score.F)}


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
