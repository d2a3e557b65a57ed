"""revseg-evaluate, called as from a shell."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.cli.main import evaluate as main


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Sequences `a` and `b` of 4 frames; the prediction finds half of the object in b."""
    for folder, value in (
        ("annotation/a", 4),
        ("annotation/b", 4),
        ("prediction = 1/a", 4),
        ("prediction = 1/b", 2),
    ):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(4):
            mask = np.zeros((8, 10), np.uint8)
            mask[:value] = 1
            image = Image.fromarray(mask)
            image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 762)
            image.save(tmp_path / folder / f"{index:05d}.png")
    return tmp_path / "prediction = 1", tmp_path / "annotation"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["revseg-evaluate", *arguments])
    main()


def test_table_and_files(folders, monkeypatch, capsys) -> None:
    prediction, annotation = folders
    call(monkeypatch, f"prediction={prediction}", f"annotation={annotation}")
    printed = capsys.readouterr().out
    assert "all (semi-supervised)" in printed
    assert str(prediction / "evaluation.csv") in printed
    content = json.loads((prediction / "evaluation.json").read_text())
    assert content["overall"]["J"]["mean"] == pytest.approx(0.75, abs=1e-6)
    assert (prediction / "evaluation.csv").read_text().startswith("scope,sequence,object,J&F-Mean,")


def test_split_protocol_and_output(folders, monkeypatch, tmp_path: Path) -> None:
    for folder in folders:
        (folder / "b").rename(folder / "b 2")
    (tmp_path / "val.txt").write_bytes(b"\xef\xbb\xbfb 2 \r\n")
    call(
        monkeypatch,
        f"prediction={folders[0]}",
        f"annotation={folders[1]}",
        f"split={tmp_path / 'val.txt'}",
        "protocol=all",
        f"output={tmp_path / 'new' / 'results'}",
    )
    content = json.loads((tmp_path / "new" / "results" / "evaluation.json").read_text())
    assert content["protocol"] == "all"
    assert list(content["sequences"]) == ["b 2"]
    assert not (folders[0] / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["prediction=nowhere", "annotation={annotation}"], "prediction=nowhere is not a folder"),
        (["prediction={prediction}", "annotation={annotation}", "protocol=some"], "protocol is 'some'"),
        (["prediction={prediction}", "annotation={annotation}", "protcol=all"], "protcol"),
        (["prediction={prediction}", "annotation={annotation}", "split=nowhere.txt"], "nowhere.txt"),
        (["prediction={prediction}", "annotation={annotation}", "annotation_encoding=davis2020"], "davis2020"),
        (["prediction={prediction}"], "annotation"),
    ],
)
def test_bad_input_is_one_sentence(folders, monkeypatch, capsys, arguments: list[str], sentence: str) -> None:
    prediction, annotation = folders
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *(text.format(prediction=prediction, annotation=annotation) for text in arguments))
    printed = capsys.readouterr().err.strip()
    assert stop.value.code == 1
    assert printed.startswith("revseg: ")
    assert sentence in printed
    assert "\n" not in printed
    assert not (prediction / "evaluation.json").exists()
