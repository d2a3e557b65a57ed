"""scripts/davis_benchmark.py on a made-up data set."""

import json
import sys
from pathlib import Path

import davis_benchmark
import numpy as np
import pytest
import torch
from harness.results import Results
from quality import methods, unet
from quality.case import Case, Recipe

from tests.little import FRAMES, HEIGHT, NETWORK, WIDTH

pytestmark = pytest.mark.slow


@pytest.fixture
def benchmark(davis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Called as from a shell; a case runs in this process. Returns the cases that were measured."""
    ran = []

    def run(function, case, recipe, folder: Path, log: Path) -> dict:
        ran.append(str(case))
        folder.mkdir(parents=True)
        return function(case, recipe, folder)

    monkeypatch.setattr(davis_benchmark, "run", run)
    monkeypatch.setattr(davis_benchmark, "warm_up", lambda *_: None)

    def call(*given: str) -> list[str]:
        ran.clear()
        common = ["--root", str(davis / "davis2017"), "--year", "2017", "--height", "native", "--output", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["davis_benchmark.py", *common, "device=cpu", *given])
        davis_benchmark.main()
        return list(ran)

    call.records = lambda: list(Results(tmp_path / "out", {}).records("*/labelled*/*/seed*/result").values())
    return call


def test_measures_resumes_and_reports(benchmark, tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    given = ["--labelled", "1,3", "--methods", "copy", "--page", str(page), "--section", "little"]
    assert len(benchmark(*given, "--seeds", "0,1")) == 4  # copying depends on no seed
    assert benchmark(*given) == []
    text = page.read_text()
    assert text.startswith("# Quality\n\n<!-- davis_benchmark little: made by scripts/davis_benchmark.py -->")
    assert "mean of train" in text
    record = benchmark.records()[0]
    assert record["JF"] == pytest.approx(np.mean([one["JF"] for one in record["objects"].values()]))


def test_trains_with_the_settings_given(benchmark, tmp_path: Path) -> None:
    given = ["--sequences", "one", "--labelled", "3", "--methods", "revseg", "--steps", "2", "--seeds", "7", "--keep-runs"]
    benchmark(*given, *NETWORK)
    (record,) = benchmark.records()
    folder = tmp_path / "out" / "one" / "labelled3" / "revseg" / "seed7"
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert record["steps"] == metrics["steps"] == 2
    assert record["labelled_frames"] == metrics["labelled_frames"] == [0, 4, 7]
    assert record["J"] == pytest.approx(metrics["J"])
    assert record["F"] == pytest.approx(metrics["F"])
    assert set(record["objects"]) == {"1", "2"}
    with np.load(folder / "masks.npz") as file:
        assert file["masks"].shape == (FRAMES, HEIGHT, WIDTH)
    config = (folder / "run" / "config.yaml").read_text()
    assert "seed: 7" in config
    assert "channels: 2" in config


def test_baselines_need_no_network(benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a network needs is neither made nor timed for them."""
    monkeypatch.setattr(methods, "open_task", None)
    benchmark("--sequences", "one", "--labelled", "3", "--methods", "copy,flow,flow-direct,flow-fine")
    found = {record["method"]: record["J"] for record in benchmark.records()}
    assert min(found[name] for name in ("flow", "flow-direct", "flow-fine")) > found["copy"] + 0.1


@pytest.mark.parametrize("source", ["flow", "none"])
def test_the_unet_learns_by_the_recipe(benchmark, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unet, "new_unet", lambda inputs, classes, *_: torch.nn.Conv3d(inputs, classes, 3, padding=1))
    given = ["--sequences", "two", "--labelled", "3", "--methods", "unet", "--steps", "2", "--keep-runs"]
    benchmark(*given, "augment.rotation=0", f"evidence.source={source}")
    (record,) = benchmark.records()
    assert record["steps"] == 2
    assert (tmp_path / "out" / "two" / "labelled3" / "unet" / "seed0" / "run" / "predictions" / "overlay.mp4").exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["data.height=48"], "the benchmark sets data.height itself; use --height"),
        (["training.stepz=3"], "did you mean training.steps"),
        (["--sequences", "three"], "there is no sequence 'three'"),
    ],
)
def test_mistakes(benchmark, given: list[str], sentence: str) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark("--methods", "copy", *given)
    assert sentence in str(stop.value.code)


def test_results_of_other_settings_are_refused(benchmark) -> None:
    benchmark("--methods", "copy", "--labelled", "1")
    with pytest.raises(SystemExit) as stop:
        benchmark("--methods", "copy", "--labelled", "1", "--max-frames", "4")
    assert "holds results with max_frames=None, not 4: choose another --output" in str(stop.value.code)


def test_a_failure_says_where_to_read_on(davis: Path, tmp_path: Path) -> None:
    """In a process of its own: all frames labelled, nothing to measure."""
    recipe = Recipe(str(davis / "davis2017"), 2017, None, 3, None, ("device=cpu",))
    reply = davis_benchmark.run(davis_benchmark.measured, Case("one", 3, "copy"), recipe, tmp_path, log=tmp_path / "log.txt")
    assert "all 3 frames of one are labelled" in reply["error"]
    assert f"see {tmp_path / 'log.txt'}" in reply["error"]
    reply = davis_benchmark.run(davis_benchmark.measured, Case("one", 2, "copy"), recipe, tmp_path, log=tmp_path / "log.txt")
    assert reply["peak_memory_bytes"] >= 0
