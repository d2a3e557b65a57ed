"""revseg-plan on a real video: what it prints, and that it plans what revseg-train runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from revseg.cli import main
from tests.little import FRAMES, HEIGHT, WIDTH, arguments, write_video

pytestmark = pytest.mark.slow


def plan(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["revseg-plan", *words])
    main.plan()


def numbers(output: str, name: str) -> list[float]:
    """The gigabytes of a line."""
    (line,) = [line for line in output.splitlines() if line.startswith(f"{name}  ") and "GB" in line]
    return [float(number) for number in re.findall(r"([\d.]+) GB", line)]


def test_it_plans_what_a_training_with_these_settings_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path, objects=2)
    given = [word for word in arguments(tmp_path, tmp_path / "run") if not word.startswith("data.video=")]
    plan(monkeypatch, str(tmp_path / "frames"), *given, "data.height=16")
    output = capsys.readouterr().out
    assert output.startswith(f"{FRAMES} frames of {round(16 * WIDTH / HEIGHT)} x 16, cpu; 3 labelled frames, 3 classes")
    phases = ("decoding", "optical flow", "carrying labels", "smoothing evidence", "training", "segmenting", "writing")
    assert numbers(output, "peak") == [max(numbers(output, phase)[0] for phase in phases)]
    assert numbers(output, "flow")[0] >= 0
    here, *cards = [line.replace("> ", ">").split() for line in output.splitlines() if re.match(r"\s+(here|\d+ GB card) ", line)]
    assert int(here[-2].lstrip(">")) > FRAMES
    assert len(cards) == 7
    assert not (tmp_path / "run").exists()


def test_without_labels_it_says_what_it_assumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path)
    plan(monkeypatch, str(tmp_path / "frames"), "device=cpu", "data.decoder=inline")
    assert "1 labelled frame, 2 classes are assumed (data.masks tells)" in capsys.readouterr().out


def test_it_says_how_many_frames_are_seen_and_by_how_many_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path)
    given = [
        str(tmp_path / "frames"),
        "device=cpu",
        "data.decoder=inline",
        "evidence=none",
        "network.levels=1",
        "network.depth=1",
    ]
    steps = {}
    for name, more in {"whole": "parallel.volume=auto", "window": "data.window=4", "shared": "parallel.volume=4"}.items():
        plan(monkeypatch, *given, more)
        output = capsys.readouterr().out
        steps[name] = numbers(output, "states")[0]
        assert ("4 frames at a time (data.window)" in output) == (name == "window")
        assert ("in 4 processes (parallel.volume), of which this is one" in output) == (name == "shared")
    assert steps["window"] < steps["whole"]
    assert steps["shared"] < steps["whole"]


def test_it_loads_nothing_that_only_a_training_needs() -> None:
    code = "import sys, revseg.plan; sys.exit('tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_video(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from revseg.cli.main import plan; plan()", str(tmp_path / "none.mp4")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("revseg: ")
    assert "none.mp4" in result.stderr
    assert "Traceback" not in result.stderr
