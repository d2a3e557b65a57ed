"""scripts/davis_split_benchmark.py on a made-up data set."""

import json
import sys
from pathlib import Path

import davis_split_benchmark
import pytest

pytestmark = pytest.mark.slow

SMALL = ["network.levels=1", "network.depth=1", "network.rank=2", "network.channels=2", "device=cpu"]


@pytest.fixture
def benchmark(davis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Called as from a shell; a case runs in this process. Returns what is said at the end."""
    monkeypatch.setattr(davis_split_benchmark, "run", lambda function, *given, log: function(*given))

    def call(*given: str, root: Path = davis / "davis2016") -> object:
        common = ["--root", str(root), "--output", str(tmp_path), "--height", "24", "--steps", "2", *SMALL]
        monkeypatch.setattr(sys, "argv", ["davis_split_benchmark.py", *common, *given])
        with pytest.raises(SystemExit) as stop:
            davis_split_benchmark.main()
        return stop.value.code

    return call


def test_a_table_of_what_was_measured(benchmark, tmp_path: Path) -> None:
    assert benchmark("--methods", "mean-mask,motion,revseg") == 0
    results = sorted(tmp_path.glob("*/seed*/result.json"))
    cases = [path.parent.relative_to(tmp_path).as_posix() for path in results]
    assert cases == ["mean-mask/seed0", "motion/seed0", "revseg/seed0"]
    found = [json.loads(path.read_text()) for path in results]
    # The objects of both videos are in the same place, give or take a pixel of the small frames.
    assert found[0]["sequences"]["two"]["J"] > 0.3
    validation = json.loads((results[2].parent / "run" / "validation.json").read_text())["sequences"]["two"]
    assert found[2]["sequences"]["two"]["JF"] == pytest.approx(validation["JF"])
    page = (tmp_path / "quality.md").read_text()
    assert "| **0** | **revseg** | **1** |" in page
    assert "| two |" in page

    times = [path.stat().st_mtime_ns for path in results]
    assert benchmark("--methods", "mean-mask,motion,revseg") == 0
    assert [path.stat().st_mtime_ns for path in results] == times


def test_nonsense(benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark("--methods", "other") == 2
    assert "there is no 'other'" in capsys.readouterr().err
    assert str(benchmark("--methods", "revseg", root=tmp_path)).startswith("davis_split_benchmark: data folder")
    assert "network.classes" in str(benchmark("--methods", "revseg", "network.classes=1"))
