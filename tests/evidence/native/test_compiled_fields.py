"""What is compiled of fields: the numbers of OpenCV's, whatever the shapes, and the same ones each time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from revseg.evidence.config import FlowConfig
from revseg.evidence.fields import SUBPIXEL, Link
from revseg.evidence.native.fields import CompiledFields
from revseg.evidence.native.library import compiled
from revseg.evidence.opencv import OpenCVFields

pytestmark = pytest.mark.skipif(not compiled(), reason="nothing can be compiled here")

# Less than a vector, a whole one, and one and a bit; the least there are.
SIZES = [(2, 2), (3, 5), (5, 16), (7, 33), (40, 97)]


def both(height, width, frames=2):
    random = torch.Generator().manual_seed(height * width)
    volume = torch.randint(0, 256, (3, frames, height, width), generator=random, dtype=torch.uint8)
    return CompiledFields(volume, FlowConfig(), factor=1), OpenCVFields(volume, FlowConfig(), factor=1)


def displacement(height, width, seed=0, far=None):
    """Ways of up to so many pixels, and out of the frame."""
    farthest = (far or max(height, width)) * SUBPIXEL
    return np.random.default_rng(seed).integers(-farthest, farthest + 1, (2, height, width)).astype(np.int16)


def planes(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def ways(compiled_fields, other, moved):
    """As a displacement and as positions, each with what OpenCV takes."""
    yield compiled_fields.way(moved), other.way(moved)
    yield other.moved(moved), other.way(moved)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("far", [1, None])
def test_look_ups_are_those_of_opencv(size, far):
    fields, other = both(*size)
    values = planes(3, *size)
    for way, expected in ways(fields, other, displacement(*size, far=far)):
        np.testing.assert_allclose(fields.look_up(values, way), other.look_up(values, expected), atol=2e-6)


def test_the_same_displacement_of_all_pixels_shifts_a_frame():
    fields, _ = both(20, 50)
    moved = np.zeros((2, 20, 50), np.int16)
    moved[0], moved[1] = 3 * SUBPIXEL, -2 * SUBPIXEL
    values = planes(1, 20, 50)
    rows, columns = (np.arange(20) - 2).clip(0), (np.arange(50) + 3).clip(max=49)
    np.testing.assert_array_equal(fields.look_up(values, moved)[0], values[0][np.ix_(rows, columns)])


@pytest.mark.parametrize("size", SIZES[1:])
def test_sharp_places_are_looked_up_cubically(size):
    fields, other = both(*size)
    values = planes(2, *size)
    sharp = np.flatnonzero(planes(*size, seed=1) > 0.5)
    moved = displacement(*size, far=1)
    moved[0] = moved[0].clip(-SUBPIXEL * np.arange(size[1]), SUBPIXEL * (size[1] - 1 - np.arange(size[1])))  # to inside
    moved[1] = moved[1].clip(*(SUBPIXEL * (end - np.arange(size[0])[:, None]) for end in (0, size[0] - 1)))
    for way, expected in ways(fields, other, moved):
        np.testing.assert_allclose(fields.look_up(values, way, sharp), other.look_up(values, expected, sharp), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_ways_are_composed_as_opencv_does(size):
    fields, other = both(*size)
    first, second = displacement(*size), displacement(*size, seed=1)
    expected = other.composed(other.way(first), other.way(second))
    for one, _ in ways(fields, other, first):
        for on, _ in ways(fields, other, second):
            np.testing.assert_allclose(fields.composed(one, on), expected, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("own", [None, 2])
def test_links_are_gathered(size, own):
    fields, other = both(*size)
    own = None if own is None else planes(own, *size, seed=9)
    moved = [displacement(*size, seed=seed) for seed in range(5)]
    values = [planes(2, *size, seed=seed) for seed in range(5)]
    shares = [planes(*size, seed=seed + 5) for seed in range(4)] + [None]
    sharp = np.array([0, size[0] * size[1] - 1])
    found = fields.gathered(own, [Link(*one) for one in zip(values, moved, shares, strict=True)], sharp)
    links = [Link(value, other.way(way), share) for value, way, share in zip(values, moved, shares, strict=True)]
    expected = other.gathered(own, links)
    cubic = fields.look_up(values[0], moved[0], sharp)
    assert ((cubic >= 0) & (cubic <= 1)).all()
    found[:, *np.unravel_index(sharp, size)] = expected[:, *np.unravel_index(sharp, size)]  # OpenCV goes on beyond the border
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("part", [(slice(None), slice(None)), (slice(1, 3), slice(1, 4)), (slice(1), slice(1))])
def test_agreement_is_that_of_opencv(size, part):
    fields, other = both(*size)
    to, fro = displacement(*size, far=2), displacement(*size, far=2, seed=1)
    expected = other.agreement((0, 1), other.way(to), other.way(fro), part)
    for one, _ in ways(fields, other, to):
        for back, _ in ways(fields, other, fro):
            found = fields.agreement((0, 1), one, back, part)
            assert found.shape == expected.shape
            # Halfway between two colours the last bit of a place decides.
            close = np.abs(found - expected) < 2e-6
            assert close.mean() > 0.99
            np.testing.assert_allclose(np.log(found), np.log(expected), atol=1.001 / (3 * FlowConfig().contrast))


def test_agreement_falls_with_the_error_of_the_way_alone_where_colours_are_the_same():
    fields = CompiledFields(torch.full((3, 2, 9, 40), 77, dtype=torch.uint8), FlowConfig(), factor=1)
    to = np.zeros((2, 9, 40), np.int16)
    for pixels in (0, 3, 5, 1000):
        fro = to.copy()
        fro[0], fro[1] = 0.6 * pixels * SUBPIXEL, 0.8 * pixels * SUBPIXEL
        expected = max(np.exp(-pixels / FlowConfig().reach), FlowConfig().least)
        np.testing.assert_allclose(fields.agreement((0, 1), to, fro), expected, rtol=2e-3 if pixels else 0)


def test_the_bits_are_the_same_wherever_memory_lies_and_in_any_thread():
    fields, _ = both(40, 97)
    moved, values, share = displacement(40, 97, far=3), planes(1, 40, 97), planes(40, 97, seed=3)
    expected = fields.gathered(values, [Link(values, moved, share)]), fields.agreement((0, 1), moved, moved)

    def again(shift):
        room = np.empty(values.nbytes + 64, np.uint8)
        elsewhere = room[4 * shift : 4 * shift + values.nbytes].view(np.float32).reshape(values.shape)
        elsewhere[:] = values
        return fields.gathered(elsewhere, [Link(elsewhere, moved.copy(), share)]), fields.agreement((0, 1), moved, moved)

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(again, range(16)):
            assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_numbers_too_small_are_nothing_and_the_thread_computes_on_as_before():
    fields, _ = both(5, 16)
    still, small = np.zeros((2, 5, 16), np.int16), np.full((1, 5, 16), 1e-39, np.float32)
    assert not fields.gathered(None, [Link(small, still, None)]).any()
    assert (small * np.float32(0.5) > 0).all()
