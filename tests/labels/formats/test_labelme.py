"""labelme JSON: areas, strokes and points."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.labels.formats.documents import SIZE, drawn, labelme, painted, read, square, written


def test_later_shapes_lie_on_top_and_classes_come_by_the_alphabet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    written(tmp_path / "00002.json", labelme(drawn("dog", square(1, 1, 6)), drawn("cat", [[5, 5], [2, 2]], "rectangle")))
    written(tmp_path / "00004.json", labelme(name="00004.png"))
    written(
        tmp_path / "00006.json", labelme(drawn("_background_", square(0, 0, 3)), drawn("dog", square(0, 0, 2)), name="00006.png")
    )
    (tmp_path / "00002.png").write_bytes(b"the frame, which labelme leaves beside it")
    found = read(tmp_path)
    assert found.frames == (2, 6)
    assert np.array_equal(found.masks, [painted((1, 1, 6, 2), (2, 2, 3, 1)), painted((0, 0, 2, 2))])
    assert found.names == {1: "cat", 2: "dog"}
    assert "labelme JSON, 2 labelled frames; objects 1 cat, 2 dog; 1 of its files have no shape and are not labels" in caplog.text
    assert "9 pixels lie in several objects, the topmost counts: 00002.png" in caplog.text


def test_groups_are_objects_and_one_file_will_do(tmp_path: Path) -> None:
    shapes = [drawn("dog", square(1, 1, 2), group_id=4), drawn("dog", square(6, 1, 2), group_id=2)]
    found = read(written(tmp_path / "a.json", labelme(*shapes)))
    assert np.array_equal(found.masks[0], painted((1, 1, 2, 2), (6, 1, 2, 1)))
    assert found.names == {1: "dog 2", 2: "dog 4"}


def test_beside_strokes_and_points_all_is_unknown(tmp_path: Path) -> None:
    shapes = [
        drawn("dog", [[1, 1.5], [5, 1.5]], "line"),
        drawn("background", [[8.5, 8.5]], "point"),
        drawn("cat", [[8.5, 3.5], [8.5, 5.5]], "linestrip"),
    ]
    mask = read(written(tmp_path / "a.json", labelme(*shapes)), stroke_width=1).masks[0].numpy()
    expected = np.full(SIZE, 255, np.uint8)
    expected[1, 1:6], expected[8, 8], expected[3:6, 8] = 2, 0, 1
    wrong = np.argwhere(mask != expected)
    assert len(wrong) <= 2  # the ends of a line may be rounded
    assert (wrong[:, 0] == 1).all()
    wide = read(tmp_path / "a.json", stroke_width=3).masks[0].numpy()
    assert (wide[0:3, 2:5] == 2).all()
    assert (wide == 255).any()


def test_a_mask_is_placed_by_its_points_and_cut_at_the_edge(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.uint8)).save(file, "PNG")
    shape = drawn("dog", [[10, 8], [13, 11]], "mask", mask=base64.b64encode(file.getvalue()).decode())
    assert np.array_equal(read(written(tmp_path / "a.json", labelme(shape))).masks[0], painted((10, 8, 4, 1)))


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (drawn("", square(1, 1, 2)), r"shape 0 of labels .*a\.json has no label: name it in labelme"),
        (drawn("dog", square(1, 1, 2), "spline"), r"shape 0 .* is of kind 'spline': draw polygons"),
        (drawn("dog", [[1, 1]]), r"shape 0 .* is a polygon of 1 points: draw it again"),
        (drawn("dog", [[1, 1], [2, 2]], "mask", mask="!"), r"shape 0 .* cannot be read \(its mask is no base64\)"),
        (drawn("dog", [[1, 1], [2, 2]], "mask", mask="AAAA"), r"shape 0 .* cannot be read \(cannot identify"),
        ("text", r"shape 0 .* cannot be read"),
    ],
)
def test_faults(shape: object, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        read(written(tmp_path / "a.json", labelme(shape)))  # type: ignore[arg-type]


def test_a_damaged_file_of_a_folder_is_named(tmp_path: Path) -> None:
    written(tmp_path / "00002.json", labelme(drawn("dog", square(1, 1, 6))))
    written(tmp_path / "00003.json", '{"shapes": [')
    with pytest.raises(ValueError, match=r"00003\.json are not whole JSON"):
        read(tmp_path)
