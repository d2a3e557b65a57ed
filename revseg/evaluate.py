"""revseg-evaluate: J, F and J&F of predicted masks, as DAVIS measures them.

    revseg-evaluate prediction=DIR annotation=DIR [protocol=...] [encoding=...] [split=FILE] [output=DIR]

Prints a table, and writes evaluation.csv and evaluation.json.
"""

from dataclasses import dataclass
from pathlib import Path

from revseg.cli.main import run
from revseg.evaluation.davis import evaluate_folders
from revseg.evaluation.table import table, write_csv, write_json


@dataclass(frozen=True)
class EvaluateConfig:
    prediction: str = "???"
    """Folder of predicted masks: PNG files of one sequence, or a folder of them for each sequence."""
    annotation: str = "???"
    """Folder of true masks, laid out in the same way."""
    protocol: str = "semi-supervised"
    """semi-supervised leaves out the first and the last frame; unsupervised and all count every frame."""
    encoding: str = "davis2017"
    """Of the annotation: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void)."""
    prediction_encoding: str = "davis2017"
    """Of the prediction; revseg-predict writes davis2017."""
    split: str | None = None
    """Text file with the names of the sequences that count, one a line; without it all those annotated."""
    output: str | None = None
    """Folder for evaluation.csv and evaluation.json; without it the prediction folder."""


def evaluate(config: EvaluateConfig) -> None:
    names = Path(config.split).read_text(encoding="utf-8").split() if config.split else None
    report = evaluate_folders(
        config.prediction,
        config.annotation,
        encoding=config.encoding,
        protocol=config.protocol,
        prediction_encoding=config.prediction_encoding,
        names=names,
    )
    print(table(report))
    output = Path(config.output or config.prediction)
    write_csv(report, output / "evaluation.csv")
    write_json(report, output / "evaluation.json")
    print(f"written: {output / 'evaluation.csv'}, {output / 'evaluation.json'}")


def main() -> None:
    run(evaluate, config="evaluate")
