"""A checkpoint whose content is not what it has to be is refused in one sentence, before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from revseg import RevSegNet
from revseg.training.checkpoint import load
from revseg.training.config import OptimizerConfig
from revseg.training.optimizer import Optimizer
from tests.training.checkpoints import content_of, saved

Content = dict[str, Any]


def without(name: str) -> Callable[[Content], Any]:
    return lambda content: content.pop(name)


def put(name: str, value: object) -> Callable[[Content], Any]:
    """part.part=value"""

    def change(content: Content) -> None:
        *path, last = name.split("/")
        for part in path:
            content = content[part]
        content[last] = value

    return change


def times(name: str, factor: float) -> Callable[[Content], Any]:
    return lambda content: content["weights"].__setitem__(name, content["weights"][name] * factor)


KERNEL = "sequence.blocks.0.layer.kernel"

WRONG = {
    "no step": (without("step"), "is damaged: it has no 'step'"),
    "no weights": (without("weights"), "is damaged: it has no 'weights'"),
    "no network": (without("network"), "is damaged: it has no 'network'"),
    "a step of text": (put("step", "seven"), "its 'step' is 'seven', not a whole number of 0 or more"),
    "a step that is true": (put("step", True), "its 'step' is True, not a whole number"),
    "steps below none": (put("step", -1), "its 'step' is -1, not a whole number"),
    "no finite time": (put("seconds", float("nan")), "its 'seconds' is nan, not a number of 0 or more"),
    "no height": (put("height", 0), "its 'height' is 0, not a whole number above 0"),
    "losses of text": (put("losses", ["a"]), "its 'losses' is a list, not a list of numbers"),
    "a recipe of numbers inside": (put("recipe", {"evidence": {None: 2}}), "its 'recipe' is a dict, not settings by their names"),
    "rounds of text": (put("rounds", ["a"]), "its 'rounds' is a list, not a list of rounds"),
    "half a round": (put("rounds", [{"start": 0, "seconds": 0.0}]), "its 'rounds' is a list, not a list of rounds"),
    "a recipe of numbers": (put("recipe", {1: 2}), "its 'recipe' is a dict, not settings by their names"),
    "weights that are a list": (put("weights", [1.0]), "its 'weights' is a list, not tensors by their names"),
    "a weight that is a number": (put("weights/head.bias", 1.0), "its 'weights' is a dict, not tensors by their names"),
    "a field of a newer version": (put("colour", 1), r"has the field 'colour', .* if a newer one wrote last.pt, use that"),
    "a setting of a newer version": (put("network/colour", 1), "has the setting of the network 'colour', which this revseg"),
    "a version to come": (put("version", 5), "of version 5, this revseg reads version 4; update revseg"),
    "a version of old": (put("version", 3), "of version 3, this revseg reads version 4; use the revseg that wrote it"),
    "a version of text": (put("version", "x" * 999), "of version x{20}, this"),
    "a network of text": (put("network", "small"), "its 'network' is 'small', not settings by their names"),
    "a wide network": (put("network/channels", 10**12), "is of no use: network.channels is 1000000000000; give"),
    "a wider network": (put("network/channels", 60000), r"its 'opening.weight' is float32 \(2, 3\), not float32 \(60000, 3\)"),
    "a deep network": (put("network/depth", 65536), "it has a tensor 'opening.weight', unlike the network of its settings"),
    "levels without end": (put("network/levels", 10**9), "is of no use: network.levels is 1000000000"),
    "channels below none": (put("network/channels", -2), "is of no use: network.channels is -2"),
    "a step size of text": (put("network/step_size", "h"), "is damaged: its network.step_size is 'h'"),
    "a depth of text": (put("network/depth", "deep"), "is damaged: its network.depth is 'deep'"),
    "a norm of numbers": (put("network/norm", 2), "is damaged: its network.norm is 2"),
    "no tensor": (lambda content: content["weights"].pop(KERNEL), f"it has no tensor '{KERNEL}'"),
    "another tensor": (put("weights/colour", torch.ones(2)), "it has a tensor 'colour'"),
    "another shape": (put("weights/head.bias", torch.ones(7)), r"its 'head.bias' is float32 \(7,\), not float32 \(2,\)"),
    "another precision": (put("weights/head.bias", torch.ones(2).half()), r"its 'head.bias' is float16 \(2,\), not float32"),
    "whole numbers": (put("weights/head.bias", torch.ones(2, dtype=torch.int32)), r"is int32 \(2,\), not float32"),
    "weights that are no number": (times(KERNEL, float("nan")), f"weights {KERNEL} holds values that are not finite"),
    "weights without end": (times("head.weight", float("inf")), "weights head.weight holds values that are not finite"),
    "a state that is no number": (
        put("optimizer/parts", [{0: {"momentum_buffer": torch.tensor([float("inf")])}}]),
        "optimizer parts 0 momentum_buffer holds values that are not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    change, sentence = WRONG[name]
    content = content_of(tmp_path / "right.pt")
    change(content)
    with pytest.raises(ValueError, match=rf"last\.pt .*{sentence}") as refusal:
        load(saved(content, tmp_path / "last.pt"))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_what_has_a_default_may_be_missing(tmp_path: Path) -> None:
    content = content_of(tmp_path / "right.pt")
    del content["recipe"], content["network"]["in_channels"]
    assert load(saved(content, tmp_path / "last.pt")).recipe == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put("parts", []), "has not the 2 parts of muon"),
        (put("parts", None), "has not the 2 parts of muon"),
        (lambda state: state["parts"][0].pop(0), "has other tensors than its network"),
        (put("parts", [{}, {0: 1}]), "has other tensors than its network"),
        (lambda state: state["parts"][0][0].update(momentum_buffer=torch.ones(3)), "has other tensors than its network"),
        (lambda state: state["parts"][1][0].update(step=torch.ones(3)), "has other tensors than its network"),
        (lambda state: state.pop("name"), "was written with None"),
    ],
)
def test_the_state_of_an_optimizer_is_checked(change: Callable[[Content], Any], sentence: str) -> None:
    net = RevSegNet(channels=2, levels=1, depth=1, rank=3)
    optimizer = Optimizer(net, OptimizerConfig())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(1.0)
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    change(state)
    with pytest.raises(ValueError, match=sentence):
        optimizer.load_state_dict(state)
