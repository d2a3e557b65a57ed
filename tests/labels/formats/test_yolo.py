"""YOLO segmentation."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.labels.formats.documents import HEIGHT, WIDTH, painted, read, square, written


def line(number: int, left: int, top: int, side: int) -> str:
    """The corners are middles of pixels."""
    corners = [(x / WIDTH, y / HEIGHT) for x, y in square(left, top, side - 1)]
    return f"{number} {' '.join(f'{x:.6f} {y:.6f}' for x, y in corners)}\n"


def test_names_of_classes_and_the_smaller_on_top(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    labels = tmp_path / "labels" / "train"
    written(labels / "frame_000003.txt", line(2, 2, 2, 3) + line(0, 1, 1, 6))
    written(labels / "frame_000005.txt", "")
    written(tmp_path / "data.yaml", "train: ../train/images\nnames:\n  0: dog\n  1: cow\n  2: cat\n")
    written(tmp_path / "train.txt", "images/train/frame_000003.png\n")
    for place in (tmp_path, labels):
        found = read(place)
        assert found.frames == (3,)
        assert np.array_equal(found.masks[0], painted((1, 1, 6, 1), (2, 2, 3, 3)))
        assert found.names == {1: "dog", 2: "cow", 3: "cat"}
    assert "YOLO segmentation, 1 labelled frame; objects 1 dog, 2 cow, 3 cat; 1 of its files are empty" in caplog.text


def test_without_names_classes_are_their_numbers(tmp_path: Path) -> None:
    written(tmp_path / "3.txt", line(1, 1, 1, 3))
    assert read(tmp_path).names == {1: "0", 2: "1"}
    assert np.array_equal(read(tmp_path).masks[0], painted((1, 1, 3, 2)))
    written(tmp_path / "classes.txt", "dog\ncat\n")
    assert read(tmp_path).names == {1: "dog", 2: "cat"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 0.5 0.5 0.2 0.2\n", r"line 1 of labels .*3\.txt is a box and no outline: export labels for segmentation"),
        (line(0, 1, 1, 3) + "0 0.1 0.1 0.2\n", r"line 2 of labels .* is not a class and the corners of an outline"),
        (line(0, 1, 1, 3) + "0 1 1 20 1 20 20\n", r"line 2 of labels .* has corners that are no shares from 0 to 1"),
        (line(0, 1, 1, 3) + "0 0 0 1 1 nan 1\n", r"'nan' is not a number"),
        (line(7, 1, 1, 3), r"line 1 of labels .* is of class 7, but there are 1 names of classes"),
    ],
)
def test_faults(text: str, problem: str, tmp_path: Path) -> None:
    written(tmp_path / "3.txt", text)
    written(tmp_path / "classes.txt", "dog\n")
    with pytest.raises(ValueError, match=problem):
        read(tmp_path)


@pytest.mark.parametrize("names", ["names: 3", "names: [", "names: {a: b}", "[" * 5000])
def test_names_that_are_none(names: str, tmp_path: Path) -> None:
    written(tmp_path / "3.txt", line(0, 1, 1, 3))
    written(tmp_path / "data.yaml", names)
    with pytest.raises(ValueError, match=r"data\.yaml"):
        read(tmp_path)
