"""Frames that stand for the others."""

from __future__ import annotations

import numpy as np
import pytest

from revseg.page.diversity import MOST, representatives


def clusters(count: int, each: int) -> list[np.ndarray]:
    """So many scenes one after the other, far from each other, with some noise."""
    random = np.random.default_rng(0)
    return [10 * np.eye(count, 8)[scene] + 0.1 * random.standard_normal(8) for scene in range(count) for _ in range(each)]


@pytest.mark.parametrize(("count", "each"), [(4, 20), (5, 3), (3, 1)])
def test_one_of_each_scene(count: int, each: int) -> None:
    found = representatives(clusters(count, each), count)
    assert [frame // each for frame in found] == list(range(count))


def test_a_medoid_is_nearest_to_its_scene() -> None:
    points = [np.array([value], np.float32) for value in (0, 1, 2, 3, 10, 50, 51, 52)]
    assert representatives(points, 2) == [2, 6]


@pytest.mark.parametrize("frames", [1, 2, 5, MOST + 7, 5000])
def test_any_number_of_frames(frames: int) -> None:
    random = np.random.default_rng(1)
    found = representatives(list(random.random((frames, 6), np.float32)), 5)
    assert len(found) == min(5, frames)
    assert found == sorted(set(found))
    assert found[-1] < frames


def test_frames_that_are_all_the_same() -> None:
    assert len(representatives([np.zeros(3, np.float32)] * 9, 5)) >= 1
    assert representatives([], 5) == []
