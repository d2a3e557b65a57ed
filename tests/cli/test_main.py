"""What can be typed, and what comes of it."""

import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from revseg.cli.main import run, split_arguments
from revseg.cli.settings import Settings, configs_folder, differences, to_yaml
from revseg.network.config import NetworkConfig
from revseg.runs.interruption import Interrupted


@dataclass(frozen=True)
class Config:
    video: str = "???"
    """The video."""
    output: str | None = None
    """Where to."""
    height: int | None = None
    """How high."""
    network: NetworkConfig = field(default_factory=NetworkConfig)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings("predict", Config)


def call(monkeypatch: pytest.MonkeyPatch, function: Any, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/revseg-predict", *arguments])
    run(function, config="predict", positional="video")


def composed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Config:
    given: list[Config] = []

    def keep(config: Config) -> None:
        given.append(config)

    call(monkeypatch, keep, *arguments)
    return given[0]


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    def never(config: Config) -> None:
        raise AssertionError(config)

    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, never, *arguments)
    assert stop.value.code == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("revseg: ")
    return sentence


def test_types_and_defaults(monkeypatch) -> None:
    config = composed(monkeypatch, "my.mp4", "height=48", "network.step_size=2", "network.depth=[0,1,1,1]")
    assert (config.video, config.output, config.height) == ("my.mp4", None, 48)
    assert type(config.network) is NetworkConfig
    assert type(config.network.depth) is list
    assert config.network.depths == (0, 1, 1, 1)
    assert type(config.network.step_size) is float


@pytest.mark.parametrize("written", ["[0,1,1,1]", "0,1,1,1", "(0, 1, 1, 1)"])
def test_lists(written: str, monkeypatch) -> None:
    assert composed(monkeypatch, "a", f"network.depth={written}").network.depths == (0, 1, 1, 1)


NAMES = [
    "my video.mp4",
    "a=b.mp4",
    "output=x.mp4",
    "one, two.mp4",
    'it\'s "quoted".mp4',
    "[x] {y} (z).mp4",
    "Tōkyō – über ß.mp4",
    "-dash.mp4",
    "--help",
    "$HOME ${oc.env:HOME} \\${a} \\.mp4",
    "null",
    "'a'",
    "~x.mp4",
    "+x=1.mp4",
    "#%&;|<>*?!:@^`",
    " ",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files(name: str, monkeypatch) -> None:
    assert composed(monkeypatch, "--", name).video == name
    assert composed(monkeypatch, f"video={name}").video == name
    if name != "null":
        assert composed(monkeypatch, "a", f"output={name}").output == name


def test_random_names(settings: Settings) -> None:
    source = random.Random(0)
    for _ in range(30):
        name = "".join(source.choices("${ab='\",[]()\\ :#~+-*?é\t", k=12))
        assert settings.compose([settings.override(f"video={name}")]).video == name


def test_file_that_looks_like_a_setting(settings: Settings, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x=1.mp4").touch()
    Path("height=1").touch()
    assert split_arguments(["x=1.mp4"], settings, "video") == (set(), [], ["x=1.mp4"])
    assert split_arguments(["height=1"], settings, "video") == (set(), ["height=1"], [])


def test_null(monkeypatch) -> None:
    assert composed(monkeypatch, "a", "output=null").output is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a", "heigth=3"], "there is no setting 'heigth', did you mean height"),
        (["a", "channels=3"], "did you mean network.channels"),
        (["a", "height=tall"], "height=tall: Value 'tall' of type 'str' could not be converted to Integer"),
        (["a", "network.levels=1.5"], "network.levels=1.5: Value '1.5' of type 'float'"),
        (["a", "network.channels=-1"], "network.channels is -1"),
        (["a", "network.depth=[1"], "network.depth=[1: "),
        (["a", "b"], "did not expect the arguments 'a', 'b'; give one"),
        (["a", "--quick"], "unknown option --quick"),
        (["a", "--cfg", "hydra"], "unknown option --cfg"),
        ([], "video is not set"),
    ],
)
def test_refused(arguments: list[str], sentence: str, monkeypatch, capsys) -> None:
    assert sentence in refused(monkeypatch, capsys, *arguments)


def test_without_a_file(monkeypatch, capsys) -> None:
    def never(config: Config) -> None:
        raise AssertionError

    monkeypatch.setattr(sys, "argv", ["revseg-train", "video.mp4"])
    with pytest.raises(SystemExit):
        run(never, config="predict")
    assert "'video.mp4' is not a setting" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ValueError("frame 3\nis  broken"), 1, "revseg: frame 3 is broken"),
        (FileNotFoundError(2, "No such file or directory", "x.pt"), 1, "x.pt: No such file or directory"),
        (OverflowError("the state left its range"), 1, "the state left its range"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted(15, 3, Path("my runs/1")), 143, "revseg-predict a height=3 'run_dir=my runs/1'"),
    ],
)
def test_errors_end_in_one_sentence(error, code: int, sentence: str, monkeypatch, capsys) -> None:
    def fail(config: Config) -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, fail, "a", "height=3")
    assert stop.value.code == code
    printed = capsys.readouterr().err
    assert sentence in printed
    assert len(printed.splitlines()) == 1


def test_traceback_on_request(monkeypatch) -> None:
    def fail(config: Config) -> None:
        raise ValueError("broken")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="broken"):
        call(monkeypatch, fail, "a")


def test_our_own_mistakes_are_not_hidden(monkeypatch) -> None:
    def fail(config: Config) -> None:
        raise AttributeError("typo")

    with pytest.raises(AttributeError):
        call(monkeypatch, fail, "a")


def test_help_and_cfg(monkeypatch, capsys) -> None:
    def never(config: Config) -> None:
        raise AssertionError

    call(monkeypatch, never, "--help", "height=7")
    printed = capsys.readouterr().out
    assert "usage: revseg-predict [VIDEO] [key=value ...]" in printed
    assert "  height=7\n      How high." in printed
    assert "  network.rank=16\n" in printed
    call(monkeypatch, never, "a", "--cfg", "job")
    assert "video: a\n" in capsys.readouterr().out


def test_every_experiment_composes(monkeypatch, capsys) -> None:
    from revseg.config import TrainConfig

    train = Settings("train", TrainConfig)
    for group, options in train.groups.items():
        assert options
        for option in options:
            assert train.compose([train.override(f"{group}={option}")]).network.channels
    with pytest.raises(ValueError, match="no experiment=dvais, did you mean davis; choose one of davis, demo,"):
        train.override("experiment=dvais")


def test_every_setting_is_documented() -> None:
    from revseg.cli.help import documentation
    from revseg.config import TrainConfig
    from revseg.predict import PredictConfig

    for name, schema in (("train", TrainConfig), ("predict", PredictConfig)):
        for setting in Settings(name, schema).leaves.values():
            assert documentation(setting.owner).get(setting.name), setting.key


def test_saved_settings_and_their_differences(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(settings.compose(["video=a", "height=3"])))
    assert differences(tmp_path / "config.yaml", settings.compose(["video=a", "height=3"])) == {}
    changed = differences(tmp_path / "config.yaml", settings.compose(["video=b", "height=null"]))
    assert changed == {"video": ("a", "b"), "height": (3, None)}


def test_configs_folder_is_found() -> None:
    assert (configs_folder() / "train.yaml").is_file()
