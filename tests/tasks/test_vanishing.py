"""Objects too small for the height of a training."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from revseg.labels.masks import resize_mask
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.tasks.vanishing import vanishing


def sample_of(*masks: np.ndarray) -> Sample:
    native = masks[0].shape
    volume = torch.zeros(3, len(masks) + 1, 4, 4, dtype=torch.uint8)
    names = tuple(f"{frame:05d}" for frame in range(len(masks) + 1))
    rows = torch.from_numpy(np.stack(masks))
    return Sample("a", volume, rows, tuple(range(1, len(masks) + 1)), native, Fraction(24), Path("a.mp4"), names)


def small_objects(random: np.random.Generator, count: int, size: tuple[int, int] = (120, 200)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for number in range(1, count + 1):
        y, x = random.integers(0, size[0] - 4), random.integers(0, size[1] - 4)
        mask[y : y + random.integers(1, 4), x : x + random.integers(1, 4)] = number
    return mask


def left(mask: np.ndarray, height: int) -> set[int]:
    return set(np.unique(resize_mask(mask, height, round(mask.shape[1] * height / mask.shape[0]))).tolist())


@pytest.mark.parametrize("seed", range(5))
def test_told_with_the_height_that_keeps_it(seed: int) -> None:
    masks = [small_objects(np.random.default_rng(10 * seed + part), 4) for part in (0, 1)]
    told = vanishing(sample_of(*masks), 24)
    lost = {number: [mask for mask in masks if number in mask and number not in left(mask, 24)] for number in range(1, 5)}
    assert [int(sentence.split()[1].rstrip(",")) for sentence in told] == [number for number, some in lost.items() if some]
    for sentence in told:
        number, height = int(sentence.split()[1].rstrip(",")), int(sentence.split("data.height=")[2].split()[0])
        assert all(number in left(mask, height) for mask in lost[number])
        assert not all(number in left(mask, height - 1) for mask in lost[number]) or height == 25


def test_the_sentence() -> None:
    mask = np.zeros((720, 960), np.uint8)
    mask[:360], mask[100:600, 403:406] = 1, 2
    (told,) = vanishing(sample_of(mask, mask), 96)
    assert told == (
        "object 2, which has 1500 pixels in frame 00001, vanishes there, and in 1 more, at data.height=96, where the network "
        "sees it; data.height=97 keeps it"
    )
    assert vanishing(sample_of(mask), 720) == vanishing(sample_of(mask), None) == []


def test_many_are_counted() -> None:
    mask = np.zeros((300, 300), np.uint8)
    mask[1::30, 1::30].flat[:] = np.arange(1, 101, dtype=np.uint8)
    told = vanishing(sample_of(mask), 30)
    assert len(told) == 6
    assert told[5].startswith("95 more objects of a.mp4 vanish so; data.height=")
    assert left(mask, int(told[5].split("=")[1].split()[0])) >= set(range(6, 101))


def test_of_a_few_labels_every_pixel_is_kept() -> None:
    mask = np.full((300, 300), VOID, np.uint8)
    mask[7, 8] = 1
    assert vanishing(sample_of(mask), 30) == []
