"""The text of --help, and how little it needs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from revseg.cli import main
from revseg.cli.help import documentation, paragraphs
from revseg.cli.settings import leaves

COMMANDS = [main.TRAIN, main.PREDICT, main.EVALUATE, main.PLAN]


class Documented:
    """A class of two fields."""

    one: int = 1
    """First line
    and a self-made second

    A paragraph."""
    two: int = 2


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_setting_is_documented(command) -> None:
    for setting in leaves(command.settings()):
        assert documentation(setting.owner).get(setting.name), setting.key


def test_line_breaks_are_repaired() -> None:
    assert list(documentation(Documented)) == ["one"]
    assert list(paragraphs(documentation(Documented)["one"], indent=2)) == [
        "  First line and a self-made second",
        "  A paragraph.",
    ]
    words = "between-two-lines " * 20
    assert all(line.strip().endswith("lines") for line in paragraphs(words, indent=0))


@pytest.mark.parametrize("command", [main.TRAIN, main.PREDICT], ids=lambda command: command.name)
def test_every_setting_with_its_value(command, line: Callable) -> None:
    seen = line(command.name, "--help", "evidence=none")
    assert (seen.status, seen.err, seen.calls) == (0, "", [])
    for setting in leaves(command.settings()):
        assert f"\n  {setting.key}=" in seen.out
    assert "\n  evidence.source=none\n      " in seen.out
    assert max(map(len, seen.out.splitlines())) <= 130
    assert not list(Path().iterdir())


def test_groups_and_defaults_list(line: Callable) -> None:
    Path("my/experiment").mkdir(parents=True)
    Path("my/experiment/mine.yaml").write_text("# @package _global_\ntraining: {steps: 7}\n")
    printed = line("train", "--help", "--config-dir", "my", "experiment=mine").out
    assert "usage: revseg-train [key=value ...]" in printed
    assert "\n  experiment=davis|demo|few_frames|mine" in printed
    assert "\n  training.steps=7\n" in printed
    defaults = printed.partition("The defaults list")[2]
    assert defaults.index("data=own") < defaults.index("experiment=mine")
    assert "--config-dir DIR" in printed


def test_only_the_groups_of_the_command(line: Callable) -> None:
    printed = line("predict", "--help").out
    assert "usage: revseg-predict [VIDEO ...]" in printed
    assert "\n  evidence=" in printed
    assert "network=" not in printed.partition("Settings, and")[0]
    assert "data.video=null" in printed


@pytest.mark.parametrize("arguments", [["--help"], ["-sc", "query=bash"], ["--cfg", "job"], ["--version"]], ids=" ".join)
def test_what_only_prints_loads_nothing_slow(arguments: list[str], tmp_path: Path) -> None:
    code = (
        f"import sys; sys.argv = ['revseg-train', *{arguments}]; from revseg.cli.main import train; train();"
        "sys.exit(str([name for name in ('torch', 'cv2', 'numpy', 'av', 'tqdm') if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.stderr.strip() == "[]"
    assert run.stdout


def test_help_takes_little_longer_than_importing_hydra(tmp_path: Path) -> None:
    """At most 0.7 s on two idle cores, where Hydra's own import takes 0.24; in proportion elsewhere."""

    def seconds(code: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
        return time.perf_counter() - begun

    ask = "import sys; sys.argv = ['revseg-train', '--help']; from revseg.cli.main import train; train()"
    assert min(seconds(ask) for _ in range(3)) < 4 * min(seconds("import hydra, omegaconf") for _ in range(3))
