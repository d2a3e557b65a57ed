"""What the settings say of labels."""

from __future__ import annotations

from typing import Any

import pytest

from revseg.labels.conventions import check_conventions, given_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [(None, {}), (["dog", "cat"], {1: "dog", 2: "cat"}), ({7: "dog"}, {7: "dog"}), ({"7": "dog"}, {7: "dog"})],
)
def test_names(names: Any, expected: dict[int, str]) -> None:
    assert given_names(names) == expected


@pytest.mark.parametrize("names", ["dog", [], {}, {0: "a"}, {255: "a"}, {"x": "a"}, [["dog"]], ["dog", "dog"], 3])
def test_names_that_are_none(names: Any) -> None:
    with pytest.raises(ValueError, match=r"data\.names is .*; give "):
        given_names(names)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"objects": "things"}, "data.objects is things; choose classes or instances, or null"),
        ({"stroke_width": 0}, "data.stroke_width is 0; give 1 to 1000 pixels"),
        ({"stroke_width": 5000}, "data.stroke_width is 5000; give 1 to 1000 pixels"),
    ],
)
def test_settings_that_mean_nothing(setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_conventions(**{"names": None, "objects": None, "stroke_width": 5, **setting})
