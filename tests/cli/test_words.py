"""What a word means."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from revseg.cli.composition import Composition
from revseg.cli.main import PLAN, PREDICT, TRAIN
from revseg.cli.settings import leaves
from revseg.cli.words import Translation, names_in, read_words


def translation(command: Any = PREDICT) -> Translation:
    groups = Composition(command, read_words([]).flags).groups
    known = {leaf.key: leaf for leaf in leaves(command.settings())}
    return Translation(known, groups, command.positional, several=command.several)


TRANSLATION, TRAINING = translation(), translation(TRAIN)


def values(*arguments: str, words: Translation = TRANSLATION) -> dict[str, Any]:
    """What Hydra and OmegaConf make of the words."""
    parsed = OverridesParser.create().parse_overrides(words.overrides(read_words(list(arguments))))
    return {override.key_or_group: OmegaConf.create({"it": override.value()}).it for override in parsed}


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
    "~/x.mp4",
    "+x=1.mp4",
    "#%&;|<>*?!:@^`",
    "range(1,3)",
    " ",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files(name: str) -> None:
    assert values("--", name) == {"data.video": name}
    assert values("-m", "--", name) == {"data.video": name}
    if name != "null":
        assert values(f"data.video={name}") == {"data.video": name}
        assert values("a", f"data.masks={name}")["data.masks"] == name


def test_random_names() -> None:
    source = random.Random(0)
    for _ in range(100):
        name = "".join(source.choices("${ab='\",[]()\\ :#~+-*?é\t", k=12))
        assert values(f"data.video={name}") == {"data.video": name}


def test_null_is_nothing_where_that_is_allowed() -> None:
    assert values("a", "data.masks=null")["data.masks"] is None
    assert values("device=null") == {"device": "null"}


def test_a_word_with_equals_is_a_file_if_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x=1.mp4").touch()
    Path("data.height=1").touch()
    assert values("x=1.mp4") == {"data.video": "x=1.mp4"}
    assert values("data.height=1") == {"data.height": 1}


@pytest.mark.parametrize("written", ["[0,1,1,1]", "0,1,1,1", "(0, 1, 1, 1)"])
def test_a_bare_comma_is_a_list(written: str) -> None:
    assert values(f"network.depth={written}", words=TRAINING) == {"network.depth": [0, 1, 1, 1]}


def test_a_list_of_one_needs_no_brackets() -> None:
    assert values("a", "output.formats=coco")["output.formats"] == ["coco"]
    assert values("a", "output.formats=masks,coco")["output.formats"] == ["masks", "coco"]
    assert values("a", "output.formats=[]")["output.formats"] == []
    assert values("a", "output.colours=#ff8800,#00aaff")["output.colours"] == "#ff8800,#00aaff"


def test_output_is_the_folder_of_the_results() -> None:
    assert values("a", "output=my results, 2")["output.folder"] == "my results, 2"
    assert values("a", "output.folder=x")["output.folder"] == "x"
    with pytest.raises(ValueError, match=r"^output=x: output has settings in it, such as output\.formats; give these, --help"):
        TRAINING.overrides(read_words(["output=x"]))


def test_a_word_of_python_stands_for_a_setting() -> None:
    assert translation(TRAIN).overrides(read_words(["from=runs/my run"])) == ["from_run='runs/my run'"]
    with pytest.raises(ValueError, match="there is no setting 'from'"):
        translation(PREDICT).overrides(read_words(["from=runs/my"]))


def test_in_a_sweep_the_grammar_is_hydras() -> None:
    def translated(*arguments: str) -> list[str]:
        return TRAINING.overrides(read_words(["-m", *arguments]))

    assert translated("network.depth=0,1") == ["network.depth=0,1"]
    assert translated("training.steps=range(1,3)", "network=choice(small,large)")[1] == "network=choice(small,large)"
    assert translated("data.video=a.mp4,b.mp4") == ["data.video=a.mp4,b.mp4"]
    assert translated("data.video=my film=1.mp4") == ["data.video='my film=1.mp4'"]
    assert read_words(["hydra.mode=MULTIRUN"]).sweeps


def test_flags_stand_anywhere() -> None:
    words = read_words(["a=1", "--cfg", "job", "b=2", "-p", "data", "--config-dir=x", "--", "c", "--d"])
    assert words.words == ("a=1", "b=2")
    assert words.files == ("c", "--d")
    assert words.for_hydra(["a=1", "b=2"]) == ["--cfg=job", "--package=data", "--config-dir=x", "--", "a=1", "b=2"]


def test_what_hydra_knows_goes_to_hydra() -> None:
    words = [
        "hydra.run.dir=x",
        "hydra/launcher=joblib",
        "+hydra.callbacks.a=1",
        "~augment",
        "+own=b",
        "training.optimizer={name: adamw}",
    ]
    assert TRAINING.overrides(read_words(words)) == words


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data.heigth=3"], "there is no setting 'data.heigth', did you mean data.height"),
        (["steps=3"], "did you mean training.steps"),
        (["netwrk=small"], "did you mean network"),
        (["~exprimnt"], "there is no setting 'exprimnt', did you mean experiment"),
        (["network.depth=[1"], "network.depth=[1: the value cannot be read"),
        (["--quick"], "unknown option --quick"),
        (["--cfg", "nothing"], "invalid choice: 'nothing'"),
        (["video.mp4"], "'video.mp4' is not a setting"),
        (["network=small,large"], "network=small,large asks for several runs; add -m"),
        (["training.steps=range(1,3)"], "asks for several runs; add -m"),
        (["~training.steps"], "a setting cannot be taken away"),
    ],
)
def test_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("[", r"\[").replace("(", r"\(")):
        TRAINING.overrides(read_words(arguments))


def test_one_file_at_most() -> None:
    for arguments in (["a", "b"], ["a", "--", "b"]):
        with pytest.raises(ValueError, match="did not expect the arguments 'a', 'b'; give one"):
            values(*arguments, words=translation(PLAN))


def test_names_in_overrides() -> None:
    typed = ["training.steps=3", "+experiment=a", "~augment", "data@x=b", "training.optimizer={name: adamw, rate: 1}", "seed=1,2"]
    names = {"training.steps", "experiment", "augment", "data", "training.optimizer.name", "training.optimizer.rate", "seed"}
    assert names_in(typed) == names


def test_pairs_of_numbers_are_a_list_of_lists() -> None:
    for written in ("[[0,1],[-2.5,3e4]]", "[[0, 1], [-2.5, 3e4]]"):
        assert values("a", f"data.scale={written}")["data.scale"] == [[0, 1], [-2.5, 3e4]]
    for written in ("[0,1]", "0,1", "(0,1)"):
        assert values("a", f"data.scale={written}")["data.scale"] == [0, 1]
