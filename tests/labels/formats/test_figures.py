"""Polygons, strokes and run lengths as pixels."""

from __future__ import annotations

import numpy as np
import pytest

from revseg.labels.formats.figures import Patch, Polygons, Strokes, box, ellipse
from revseg.labels.formats.rle import by_columns, by_rows, uncompressed

SIZE = 40, 50


def middles() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return rows, columns


def test_a_pixel_belongs_to_a_polygon_if_its_middle_lies_within() -> None:
    rows, columns = middles()
    corners = np.array([[3.3, 2.1], [45.2, 11.7], [20.9, 37.4]])
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        sides.append((x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) > 0)
    assert np.array_equal(Polygons((corners,)).pixels(SIZE, 1), np.all(sides, 0))


def test_areas_within_areas_are_holes_and_what_lies_outside_the_picture_is_cut() -> None:
    outer, inner = box(-1000, 5, 1000, bottom=35).outlines[0], box(10, 10, 20, bottom=20).outlines[0]
    expected = np.zeros(SIZE, bool)
    expected[5:35] = True
    assert np.array_equal(Polygons((outer, inner), union=True).pixels(SIZE, 1), expected)
    expected[10:20, 10:20] = False
    assert np.array_equal(Polygons((outer, inner)).pixels(SIZE, 1), expected)


def test_turned_boxes_and_ellipses() -> None:
    rows, columns = middles()
    assert np.array_equal(box(10, 15, 30, bottom=25, degrees=90).pixels(SIZE, 1), box(15, 10, 25, bottom=30).pixels(SIZE, 1))
    round_one = ellipse(25, 20, 12, down=8).pixels(SIZE, 1)
    inside = ((columns - 25) / 12) ** 2 + ((rows - 20) / 8) ** 2
    assert round_one[inside < 0.98].all()
    assert not round_one[inside > 1].any()


@pytest.mark.parametrize("width", [1, 4, 9])
def test_a_stroke_is_as_wide_as_asked(width: int) -> None:
    line = Strokes((np.array([[5.0, 20.0], [45.0, 20.0]]),)).pixels(SIZE, width)
    assert abs(int(line[:, 25].sum()) - width) <= 2  # OpenCV draws wide lines a little wider
    point = Strokes((np.array([[25.5, 20.5]]),)).pixels(SIZE, width)
    assert point[20, 25]
    assert abs(point.sum() - np.pi * width**2 / 4) <= 2 + width
    assert not Strokes((np.array([[1e9, 1e9], [2e9, 1e9]]),)).pixels(SIZE, width).any()


def test_run_lengths_of_both_orders() -> None:
    mask = np.random.default_rng(0).random((6, 9)) < 0.4
    for flat, read in ((mask.ravel(), by_rows), (mask.T.ravel(), by_columns)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
        counts = np.diff([0, *edges.tolist()]).tolist()
        assert np.array_equal(read(counts, mask.shape), mask)


def test_a_compressed_string() -> None:
    """By hand: 5 is '5', -3 from the one before the last is 'M', 40 is 'X1'."""
    assert uncompressed("5X15M") == [5, 40, 5, 37]


def test_a_patch_is_cut_at_the_edge_of_the_picture() -> None:
    found = Patch(np.ones((10, 10), bool), left=-4, top=35).pixels(SIZE, 1)
    expected = np.zeros(SIZE, bool)
    expected[35:, :6] = True
    assert np.array_equal(found, expected)
    assert not Patch(np.ones((10, 10), bool), left=60, top=0).pixels(SIZE, 1).any()
