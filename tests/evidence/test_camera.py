"""The camera's motion, and when it is not that of most of the picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from revseg.evidence.camera import LEAST_POINTS, Displaced, of_ground
from revseg.evidence.config import MotionConfig

CONFIG = MotionConfig()
SIZE = 320, 200
TURN = np.vstack([cv2.getRotationMatrix2D((160, 100), 2, 1.02), [0, 0, 1]])
SHIFT = np.array([[1, 0, 6], [0, 1, -3], [0, 0, 1]], np.float64)


def grid() -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(6, 320, 12), np.arange(6, 200, 12)), -1).reshape(-1, 2).astype(np.float32)


def led(camera: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(grid()[None], camera)[0]


def displaced(share: float) -> tuple[Displaced, np.ndarray]:
    """A share of the picture, from the left, moves by SHIFT, the rest by TURN; and where the rest is."""
    here = grid()
    ground = here[:, 0] >= share * SIZE[0]
    there = np.where(ground[:, None], led(TURN), led(SHIFT))
    mask = np.zeros((50, 80), np.uint8)  # at a quarter of the size
    mask[:, round(share * 80) :] = 1
    return Displaced(here, there), mask


def test_what_most_points_follow() -> None:
    points, _ = displaced(0.3)
    found = points.camera(CONFIG.tolerance)
    assert np.allclose(led(found), led(TURN), atol=0.5)
    assert points.following(found, CONFIG.tolerance) == (grid()[:, 0] >= 0.3 * SIZE[0]).sum()


def test_the_ground_is_followed_where_an_object_fills_the_picture() -> None:
    points, mask = displaced(0.7)
    assert np.allclose(led(points.camera(CONFIG.tolerance)), led(SHIFT), atol=0.5)
    found = of_ground(points, points.on(mask, SIZE), CONFIG)
    assert found is not None
    assert np.allclose(led(found), led(TURN), atol=0.5)
    assert of_ground(points, points.on(mask, SIZE), replace(CONFIG, follows=0)) is None


def test_the_camera_of_the_whole_picture_stays_where_it_is_that_of_the_ground() -> None:
    points, mask = displaced(0.3)
    assert of_ground(points, points.on(mask, SIZE), CONFIG) is None


def test_hardly_any_ground_tells_nothing() -> None:
    points, mask = displaced(0.7)
    mask[:, :-2] = 0
    few = points.on(mask, SIZE)
    assert 0 < len(few.here) < LEAST_POINTS
    assert of_ground(points, few, CONFIG) is None


@pytest.mark.parametrize("count", [1, 3, 30])
def test_points_without_a_homography_are_shifted(count: int) -> None:
    """Too few, or all in one place."""
    here = np.zeros((count, 2), np.float32)
    assert np.allclose(Displaced(here, here + np.float32([4, -2])).camera(1.0), [[1, 0, 4], [0, 1, -2], [0, 0, 1]])
