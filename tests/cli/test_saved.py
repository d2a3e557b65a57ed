"""The settings of a run are read as data, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from revseg.cli.saved import experiment_of, read_saved
from revseg.cli.settings import differences, merged, to_yaml
from revseg.config import TrainConfig
from revseg.tasks.config import DataConfig

LAUGHS = "a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n"


def test_what_we_write_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    config = TrainConfig(data=DataConfig(video="ü ${oc.env:HOME} \\${x} \\\\${y}", masks="*a", truth="&b: c"))
    file.write_text(to_yaml(config), encoding="utf-8")
    assert differences(file, config) == {}
    assert merged(TrainConfig(), file, ["data.video"]).data.video == config.data.video


@pytest.mark.parametrize("text", ["${oc.env:SECRET}", "x ${seed}", "\\\\${oc.env:SECRET}", "${oc.decode:1}"])
def test_nothing_is_looked_up(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a secret")
    file = tmp_path / "config.yaml"
    file.write_text(f"data:\n  video: {text}\n")
    for use in (lambda: merged(TrainConfig(), file, ["data.video"]), lambda: differences(file, TrainConfig())):
        with pytest.raises(ValueError, match=r"config\.yaml says .* which asks for a value and is none; restore") as refusal:
            use()
        assert "a secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (LAUGHS.encode(), r"refers to itself \(\*a\)"),
        (b"a: [1\n", "cannot be read as YAML"),
        (b"a: \xff\n", "cannot be read as YAML"),
        (b"a: !!python/object/apply:os.system [id]\n", "cannot be read as YAML"),
        (b"[" * 5000, "cannot be read as YAML"),
        (b"- 1\n", "has no settings by their names"),
        (b"1", "has no settings by their names"),
        (b"a: " + b"1" * (1 << 18), "has more than 262,144 bytes"),
        (b"", "has no settings by their names"),
        (b"a: 1\n---\nb: 1\n", "cannot be read as YAML"),
    ],
)
def test_refused_in_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=rf"config\.yaml {sentence}.*; restore it, or choose another run_dir=$") as refusal:
        read_saved(tmp_path / "config.yaml")
    assert "\n" not in str(refusal.value)


def test_a_value_of_another_type(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("training:\n  steps: many\n")
    with pytest.raises(ValueError, match=r"config\.yaml: training\.steps: Value 'many' .*; restore it"):
        merged(TrainConfig(), tmp_path / "config.yaml", ["training.steps"])


def test_the_experiment_of_a_run(tmp_path: Path) -> None:
    file = tmp_path / "hydra.yaml"
    file.write_text("hydra:\n  run:\n    dir: runs/${now:%Y}\n  runtime:\n    choices:\n      experiment: demo\n")
    assert experiment_of(file) == "demo"
    file.write_text("hydra: 1\n")
    assert experiment_of(file) is None
    file.write_text("hydra:\n  runtime:\n    choices:\n      experiment: ${oc.env:HOME}\n")
    assert experiment_of(file) == "${oc.env:HOME}"
