"""revseg-evaluate: J, F and J&F of predicted masks, as DAVIS measures them.

    revseg-evaluate prediction=DIR annotation=DIR [protocol=...] [annotation_encoding=...] [split=FILE] [output=DIR]

Prints a table, and writes evaluation.csv and evaluation.json.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from revseg.cli.main import evaluate as main
from revseg.config import EvaluateConfig
from revseg.evaluation.davis import evaluate_folders
from revseg.evaluation.table import table, write_csv, write_json
from revseg.labels.lists import read_names

LOG = logging.getLogger("revseg")


def evaluate(config: EvaluateConfig, given: Collection[str] = ()) -> float:
    """Measures a folder of masks against another; returns the mean J&F."""
    names = read_names(Path(config.split)) if config.split else None
    report = evaluate_folders(
        config.prediction,
        config.annotation,
        encoding=config.annotation_encoding,
        protocol=config.protocol,
        prediction_encoding=config.prediction_encoding,
        names=names,
    )
    LOG.info(table(report))
    output = Path(config.output or config.prediction)
    write_csv(report, output / "evaluation.csv")
    write_json(report, output / "evaluation.json")
    LOG.info(f"written: {output / 'evaluation.csv'}, {output / 'evaluation.json'}")
    return report.overall.jf


if __name__ == "__main__":
    main()
