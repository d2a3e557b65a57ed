"""Settings as leaves of dataclasses, and as they are saved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

from revseg.cli.settings import covers, differences, instance, leaves, merged, nearest, to_yaml, writable


@dataclass(frozen=True)
class Part:
    rank: Any = (1, 2)
    rate: float | None = None


@dataclass(frozen=True)
class Whole:
    video: str = "???"
    height: int | None = None
    part: Part = field(default_factory=Part)

    def __post_init__(self) -> None:
        if self.height == 0:
            raise ValueError("height is 0")


def test_leaves() -> None:
    found = {leaf.key: leaf for leaf in leaves(Whole)}
    assert list(found) == ["video", "height", "part.rank", "part.rate"]
    assert [leaf.is_text for leaf in found.values()] == [True, False, False, False]
    assert [leaf.may_be_null for leaf in found.values()] == [False, True, False, True]
    assert (found["part.rate"].owner, found["part.rate"].name) == (Part, "rate")


def test_covers() -> None:
    given = frozenset({"evidence", "training.steps"})
    assert [covers(given, key) for key in ("evidence.flow.height", "training.steps", "training.step", "data.height")] == [
        True,
        True,
        False,
        False,
    ]


def test_instance() -> None:
    tree = writable(Whole)
    with pytest.raises(ValueError, match="video is not set; give video="):
        instance(tree, Whole)
    tree.video, tree.part.rank = "a", [3]
    assert instance(tree, Whole) == Whole("a", None, Part([3]))
    tree.height = 0
    with pytest.raises(ValueError, match="height is 0"):
        instance(tree, Whole)
    with open_dict(tree):
        tree.hight = 3
    with pytest.raises(ValueError, match="there is no setting 'hight', did you mean height"):
        instance(tree, Whole)


def test_instance_of_a_tree_without_the_schema() -> None:
    config = instance(OmegaConf.create({"video": "a", "part": {"rate": "0.5"}}), Whole)
    assert (type(config), config.part.rate) == (Whole, 0.5)


def test_saved_settings_and_their_differences(tmp_path: Path) -> None:
    saved, config = tmp_path / "config.yaml", Whole("ü: 'a' \\${b} ${", 3, Part((1, 2), 0.1))
    saved.write_text(to_yaml(config), encoding="utf-8")
    assert differences(saved, config) == {}
    assert merged(replace(config, video="b"), saved, ["video"]) == replace(config, part=Part([1, 2], 0.1))
    assert differences(saved, replace(config, height=None, part=Part([1, 2], 0.2))) == {
        "height": (3, None),
        "part.rate": (0.1, 0.2),
    }


def test_merged(tmp_path: Path) -> None:
    saved = tmp_path / "config.yaml"
    saved.write_text("video: b\nheight: null\npart:\n  rank: [4, 5]\n")
    typed = Whole("a", 3, Part([1], 0.1))
    assert merged(typed, saved, ["height", "part.rank", "part.rate"]) == Whole("a", None, Part([4, 5], 0.1))
    assert merged(typed, saved, []) == typed


def test_nearest() -> None:
    assert nearest("step", ["training.steps", "seed"]) == ""
    assert nearest("steps", ["training.steps", "seed"]) == ", did you mean training.steps"
    assert nearest("sead", ["training.steps", "seed"]) == ", did you mean seed"
