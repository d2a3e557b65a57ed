"""What is compiled of descriptors and of what is behind pixels: OpenCV's numbers, whatever the sizes, and the same each time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np
import pytest
import torch

from revseg.evidence import background
from revseg.evidence.descriptors import FARTHEST, NUMBERS, colours_of, descriptors, side_by_side
from revseg.evidence.native import background as native
from revseg.evidence.native.descriptors import LINES, taps
from revseg.evidence.native.library import compiled
from revseg.reversible.kernels import switch

pytestmark = pytest.mark.skipif(not compiled(), reason="nothing can be compiled here")

Made = TypeVar("Made")
# Of a pixel, narrower than a blur, of an odd number of vectors, and higher than what is held of a picture at a time.
SIZES = [(1, 1), (1, 9), (5, 1), (3, 2), (37, 41), (12, 200), (101, 67)]


def picture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return cv2.GaussianBlur(drawn, (5, 5), 1.5).reshape(*size, 3)


def without(call: Callable[[], Made]) -> Made:
    """What OpenCV makes of the same."""
    switch.enable(False)
    try:
        return call()
    finally:
        switch.enable(True)


@pytest.mark.parametrize("size", SIZES)
def test_descriptors_are_those_of_opencv(size: tuple[int, int]) -> None:
    one = picture(size)
    found, expected = descriptors(one), without(lambda: descriptors(one))
    scale = expected.flatten(0, 1).abs().max(0).values + 1
    assert found.shape == expected.shape == (*size, NUMBERS)
    assert ((found - expected).abs() <= 1e-5 * scale).all()


@pytest.mark.parametrize("size", SIZES)
def test_some_pixels_are_the_same_as_in_the_picture(size: tuple[int, int]) -> None:
    """In parts of longer rows, of which nothing else is touched."""
    one, whole = picture(size), descriptors(picture(size))
    pixels = np.random.default_rng(1).random(size) < 0.3
    pixels[: size[0] // 3] = pixels[:, size[1] // 2 :] = False
    pixels[-1, -1] = True
    rows = torch.full((int(pixels.sum()), NUMBERS + 3), torch.nan)
    descriptors(one, pixels, into=rows[:, 1 : NUMBERS + 1])
    assert torch.equal(rows[:, 1 : NUMBERS + 1], whole[torch.from_numpy(pixels)])
    assert rows[:, [0, -2, -1]].isnan().all()


def test_pixels_far_from_others_are_seen_as_they_are() -> None:
    """In lines and columns that are apart by more than any blur reaches, from the first of those made at a time on."""
    size = 40 + 4 * FARTHEST, 30 + 4 * FARTHEST
    middle = size[0] // 2 // LINES * LINES
    one, pixels = picture(size), np.zeros(size, bool)
    pixels[3, 5] = pixels[3, -4] = pixels[-2, 5:25] = pixels[middle : middle + 9, 9] = True
    assert torch.equal(descriptors(one, pixels), descriptors(one)[torch.from_numpy(pixels)])


def test_nothing_farther_is_seen() -> None:
    one = picture((9 + 4 * FARTHEST, 9 + 4 * FARTHEST))
    other, near, middle = picture(one.shape[:2], 1), slice(FARTHEST, -FARTHEST), slice(2 * FARTHEST, -2 * FARTHEST)
    other[near, near] = one[near, near]
    assert torch.equal(descriptors(other)[middle, middle], descriptors(one)[middle, middle])
    other[FARTHEST] = 255 - other[FARTHEST]  # the farthest line that is seen
    assert not torch.equal(descriptors(other)[middle, middle], descriptors(one)[middle, middle])


def test_blurs_reach_as_far_as_those_of_opencv() -> None:
    scales = [0.7, 1.5, 2, 3, 4, 6, 8]
    for scale, reach in zip(scales, taps(scales)[0], strict=True):
        point = np.zeros((1, 201), np.float32)
        point[0, 100] = 1
        assert (cv2.GaussianBlur(point, (0, 0), scale) > 0).sum() == 2 * reach + 1


@pytest.mark.parametrize("size", SIZES)
def test_differences_are_those_of_opencv(size: tuple[int, int]) -> None:
    before, behind = picture(size), picture(size, 1)
    behind[: size[0] // 2] = before[: size[0] // 2]
    known, lab = np.random.default_rng(2).random(size) < 0.7, [colours_of(one) for one in (before, behind)]
    rows = torch.full((*size, background.DIFFERENCES + 3), torch.nan)
    native.differences(*lab, known, rows=rows[..., 1:-2], scales=(background.FINE, background.WIDE))
    colour, lightness = background._least_difference(*lab)
    found = np.stack([colour, lightness, np.abs(lightness)], 2) * known[..., None]
    wide = cv2.GaussianBlur(found, (0, 0), background.WIDE).reshape(found.shape)
    expected = torch.empty(*size, background.DIFFERENCES)
    side_by_side([found, known[..., None].astype(np.float32), wide], into=expected)
    assert (rows[..., 1:-2] - expected).abs().max() < 1e-3  # of some 50
    assert rows[..., [0, -2, -1]].isnan().all()


@pytest.mark.parametrize("count", [0, 1, 2, 5, 14])
@pytest.mark.parametrize("size", SIZES)
def test_the_median_is_that_of_numpy(size: tuple[int, int], count: int) -> None:
    random, before = np.random.default_rng(count), picture(size)
    shown = random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    free = (random.random((count, *size)) < 0.3).astype(np.uint8)
    found, known = native.median(shown, free, background._comparisons(count), before)
    expected, expected_known = background._median(shown.copy(), free, before)
    assert np.array_equal(found, expected)
    assert np.array_equal(known, expected_known)
    for y, x in np.ndindex(size):
        if known[y, x]:
            values = np.sort(shown[free[:, y, x] > 0, y, x], 0)
            assert np.array_equal(found[y, x], values[(len(values) - 1) // 2])


def test_the_same_in_several_threads() -> None:
    one = picture((60, 90))
    expected = descriptors(one)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(found, expected) for found in pool.map(descriptors, [one] * 40))


def test_the_same_wherever_the_numbers_lie() -> None:
    one = picture((40, 60))
    expected, memory = descriptors(one), np.empty(40 * 60 * 3 + 16, np.float32)
    for offset in (1, 3, 8):
        colours = memory[offset:][: one.size].reshape(one.shape)
        colours[:] = colours_of(one)
        assert torch.equal(descriptors(one, colours=colours), expected)
