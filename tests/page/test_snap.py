"""A rough mask becomes one along the edges of the picture."""

from __future__ import annotations

import cv2
import numpy as np

from revseg.page.snap import snapped

HEIGHT, WIDTH = 120, 160


def picture_and_truth() -> tuple[np.ndarray, np.ndarray]:
    """A textured ellipse on textured ground."""
    random = np.random.default_rng(0)
    truth = cv2.ellipse(np.zeros((HEIGHT, WIDTH), np.uint8), (80, 60), (40, 25), 20, 0, 360, 1, -1)
    ground = np.array([60, 120, 60]) + 12 * random.standard_normal((HEIGHT, WIDTH, 3))
    thing = np.array([40, 60, 170]) + 12 * random.standard_normal((HEIGHT, WIDTH, 3))
    return np.where(truth[..., None] > 0, thing, ground).clip(0, 255).astype(np.uint8), truth


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def rough_of(truth: np.ndarray) -> np.ndarray:
    """Moved and drawn with a coarse hand."""
    return np.roll(cv2.dilate(truth, np.ones((7, 7), np.uint8)), 3, axis=1)


def test_edges_are_found() -> None:
    picture, truth = picture_and_truth()
    rough = rough_of(truth)
    found = snapped(picture, 3 * rough, 3)
    assert similarity(rough > 0, truth > 0) < 0.8
    assert similarity(found == 3, truth > 0) > 0.95
    assert np.array_equal(found, snapped(picture, 3 * rough, 3))


def test_at_another_size_than_the_picture() -> None:
    picture, truth = picture_and_truth()
    large = cv2.resize(truth, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    found = snapped(picture, rough_of(large), 1)
    assert found.shape == large.shape
    assert similarity(found > 0, large > 0) > 0.92


def test_other_objects_and_frames_without_the_object_stay() -> None:
    picture, truth = picture_and_truth()
    labels = rough_of(truth)
    labels[40:80, 80:90] = 7
    found = snapped(picture, labels, 1)
    assert np.array_equal(found == 7, labels == 7)
    assert snapped(picture, labels, 5) is labels


def test_a_thin_line_and_the_whole_picture() -> None:
    picture, _ = picture_and_truth()
    line = np.zeros((HEIGHT, WIDTH), np.uint8)
    line[60, 20:140] = 1
    assert snapped(picture, line, 1).shape == line.shape
    whole = np.ones((HEIGHT, WIDTH), np.uint8)
    assert np.array_equal(snapped(picture, whole, 1), whole)
