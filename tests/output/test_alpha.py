"""Soft edges follow the picture, and never contradict the mask."""

import cv2
import numpy as np
import pytest

from revseg.output.alpha import STRIP, Edge, alpha_of, foreground, guided
from revseg.output.config import OutputConfig

SIZE = (300, 420)


def edge(**more: float) -> Edge:
    config = OutputConfig()
    return Edge(**{"width": config.edge_width, "epsilon": config.edge_noise, "sharpness": config.edge_sharpness} | more)


@pytest.fixture(scope="module")
def hair() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Alpha (H, W) of a disk with hairs; the picture; a probability as coarse as a network's; and the colours of the object."""
    random = np.random.default_rng(0)
    canvas = np.zeros((4 * SIZE[0], 4 * SIZE[1]), np.uint8)
    middle, radius = (840, 600), 350
    cv2.circle(canvas, middle, radius, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 160):
        far = radius + random.uniform(20, 60)
        ends = [(round(middle[0] + r * np.cos(a)), round(middle[1] + r * np.sin(a))) for r, a in
                ((radius - 8, angle), (far, angle + random.normal(0, 0.03)))]  # fmt: skip
        cv2.line(canvas, *ends, 255, 5)
    alpha = cv2.resize(canvas, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    rough = random.normal(0, 1, (*SIZE, 3)).astype(np.float32)
    own = np.array([150, 90, 50], np.float32) + 8 * cv2.blur(rough, (3, 3))
    other = np.array([70, 130, 190], np.float32) + 60 * cv2.blur(rough[::-1], (31, 31))
    picture = np.rint(alpha[..., None] * own + (1 - alpha[..., None]) * other).clip(0, 255).astype(np.uint8)
    small = cv2.resize(cv2.blur(alpha, (9, 9)), (SIZE[1] // 3, SIZE[0] // 3), interpolation=cv2.INTER_AREA)
    return alpha, picture, cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_LINEAR), own


def test_edges_come_nearer_to_the_truth(hair: tuple[np.ndarray, ...]) -> None:
    """Than the mask, and than the probabilities."""
    truth, picture, probability, _ = hair
    inside = probability > 0.5
    found = alpha_of(probability, inside, picture, edge=edge()).astype(np.float32) / 255
    errors = [np.abs(each - truth).sum() for each in (found, inside, probability)]
    assert errors[0] < 0.8 * errors[1]
    assert errors[0] < 0.8 * errors[2]


def test_alpha_never_contradicts_the_mask(hair: tuple[np.ndarray, ...]) -> None:
    """Not even a mask that the picture and the probabilities know nothing of, as one by hand."""
    _, picture, probability, _ = hair
    inside = np.roll(probability > 0.5, (20, 30), (0, 1))
    found = alpha_of(probability, inside, picture, edge=edge())
    assert np.array_equal(found >= 128, inside)


def test_strips_are_not_to_be_seen(hair: tuple[np.ndarray, ...]) -> None:
    """The frame is higher than a strip: turned upside down, where other rows meet, alpha is the same."""
    _, picture, probability, _ = hair
    assert SIZE[0] % STRIP
    found = alpha_of(probability, probability > 0.5, picture, edge=edge())
    turned = alpha_of(probability[::-1], probability[::-1] > 0.5, np.ascontiguousarray(picture[::-1]), edge=edge())[::-1]
    assert np.abs(found.astype(int) - turned).max() <= 1


def test_hard_edges(hair: tuple[np.ndarray, ...]) -> None:
    _, picture, probability, _ = hair
    found = alpha_of(probability, probability > 0.5, picture, edge=edge(width=0))
    assert np.array_equal(found, np.where(probability > 0.5, 255, 0))


@pytest.mark.parametrize("inside", [False, True])
def test_a_frame_without_edges(inside: bool) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    found = alpha_of(np.full((40, 60), 0.5, np.float32), np.full((40, 60), inside), picture, edge=edge())
    assert np.array_equal(found, np.full((40, 60), 255 * inside))


def test_what_is_linear_in_the_colours_stays() -> None:
    """The filter is a least-squares fit in each window."""
    guide = np.random.default_rng(0).random((50, 70, 3), np.float32)
    plane = (0.3 * guide[..., 0] - 0.2 * guide[..., 1] + 0.5 * guide[..., 2] + 0.1).astype(np.float32)
    assert np.abs(guided(guide, plane, 4, epsilon=1e-7) - plane).max() < 1e-3


def test_a_flat_picture_blurs() -> None:
    """Without any colours to go by, alpha is the mean of means."""
    plane = np.random.default_rng(0).random((40, 60)).astype(np.float32)
    flat = np.full((40, 60, 3), 0.5, np.float32)
    box = (7, 7)
    expected = cv2.blur(cv2.blur(plane, box, borderType=cv2.BORDER_REFLECT), box, borderType=cv2.BORDER_REFLECT)
    assert np.abs(guided(flat, plane, 3, epsilon=1e-4) - expected).max() < 1e-3


def test_what_shines_through_is_taken_out(hair: tuple[np.ndarray, ...]) -> None:
    truth, picture, _, own = hair
    alpha = np.rint(255 * truth).astype(np.uint8)
    found = foreground(picture, alpha, 5)
    soft = (alpha > 60) & (alpha < 255)
    before, after = (np.abs(each[soft].astype(float) - own[soft]).mean() for each in (picture, found))
    assert after < 0.5 * before
    assert np.array_equal(found[alpha == 255], picture[alpha == 255])
