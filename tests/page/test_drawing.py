"""Labels that are drawn: written whole, by one window at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from revseg.labels.masks import read_mask, write_mask
from revseg.page.drawing import Changed, Drawing
from tests.harm import full_disk

SIZE, NAMES = (12, 16), ["00000", "00001", "00002"]


def labels(value: int = 1) -> np.ndarray:
    found = np.zeros(SIZE, np.uint8)
    found[2:6, 3:9] = value
    return found


def test_labels_come_back_and_are_masks_that_training_reads(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path / "labels", SIZE, NAMES)
    assert drawing.revisions() == {}
    assert drawing.write(1, labels(2), 0) == 1
    assert drawing.write(1, labels(255), 1) == 2
    found, revision = drawing.read(1)
    assert (revision, drawing.revisions()) == (2, {1: 2})
    assert np.array_equal(found, labels(255))
    assert np.array_equal(read_mask(tmp_path / "labels" / "00001.png", "davis2017", ids=True), labels(255))
    with pytest.raises(KeyError):
        drawing.read(0)


def test_a_window_that_does_not_know_the_last_labels_is_refused(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, SIZE, NAMES)
    drawing.write(0, labels(1), 0)
    with pytest.raises(Changed, match="the labels of frame 00000 were changed in another window"):
        drawing.write(0, labels(2), 0)
    with pytest.raises(Changed):
        drawing.write(0, None, 0)
    assert np.array_equal(drawing.read(0)[0], labels(1))


def test_removed(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, SIZE, NAMES)
    drawing.write(0, labels(), 0)
    assert drawing.write(0, None, 1) == 0
    assert (drawing.revisions(), list(tmp_path.glob("*.png"))) == ({}, [])


def test_a_mask_that_is_removed_and_drawn_anew_is_another_one(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, SIZE, NAMES)
    before = drawing.write(0, labels(1), 0)
    drawing.write(0, None, before)
    after = drawing.write(0, labels(2), 0)
    with pytest.raises(Changed):
        drawing.write(0, labels(1), before)
    assert np.array_equal(drawing.read(0)[0], labels(2))
    assert drawing.write(0, None, after) == 0


def test_masks_of_before_keep_their_files_and_their_objects(tmp_path: Path) -> None:
    write_mask(tmp_path / "2.png", labels(7))
    names = NAMES[:1]
    drawing = Drawing(tmp_path, SIZE, names)
    assert [each.id for each in drawing.objects] == [7]
    assert drawing.revisions() == {}
    names += NAMES[1:]  # decoded meanwhile
    assert drawing.revisions() == {2: 1}
    drawing.write(2, labels(8), 1)
    assert [path.name for path in tmp_path.glob("*.png")] == ["2.png"]


def test_masks_of_another_video_are_refused(tmp_path: Path) -> None:
    write_mask(tmp_path / "0.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"mask .*0\.png is 5 x 5 pixels, but the video is 16 x 12: give another folder"):
        Drawing(tmp_path, SIZE, NAMES)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file: give the folder of the masks"):
        Drawing(tmp_path / "file", SIZE, NAMES)


def test_objects(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, SIZE, NAMES)
    named = [{"id": 3, "name": 'a "car" <b>', "colour": "#00ff7f"}, {"id": 1, "name": "", "colour": "#000000"}]
    drawing.name_objects(named)
    assert [vars(each) for each in Drawing(tmp_path, SIZE, NAMES).objects] == named


@pytest.mark.parametrize(
    ("objects", "sentence"),
    [
        ([{"id": 0, "name": "a", "colour": "#000000"}], "ids are 1 to 254"),
        ([{"id": 255, "name": "a", "colour": "#000000"}], "ids are 1 to 254"),
        ([{"id": 1, "name": 5, "colour": "#000000"}], "is no text"),
        ([{"id": 1, "name": "a", "colour": "red"}], "is not written like"),
        ([{"id": 1, "name": "a"}], "an object has an id, a name and a colour"),
        ([{"id": 1, "name": "a", "colour": "#000000"}] * 2, "two objects have one id"),
        ([{"id": id, "name": "a", "colour": "#000000"} for id in (1, 2)], "two objects have the name a"),
        ("ab", "an object has"),
    ],
)
def test_objects_that_are_none(objects: list, sentence: str, tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, SIZE, NAMES)
    with pytest.raises(ValueError, match=sentence):
        drawing.name_objects(objects)
    assert not (tmp_path / "objects.json").exists()


def test_damaged_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "objects.json").write_text("[{")
    with pytest.raises(ValueError, match=r"objects\.json is not what revseg-label wrote .*: restore it, or remove it"):
        Drawing(tmp_path, SIZE, NAMES)


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, SIZE, NAMES)
    drawing.write(0, labels(1), 0)
    with full_disk(10), pytest.raises(OSError, match=r"cannot write .*00000\.png"):
        drawing.write(0, labels(2), 1)
    assert np.array_equal(drawing.read(0)[0], labels(1))
    assert drawing.write(0, labels(2), 1) == 2
