"""Flow by inverse search in C: known motion, and the bits of OpenCV's flow, whatever the frames."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from revseg.evidence.native import dis
from revseg.evidence.native.dis import dense_flow, scales
from revseg.evidence.native.fields import PRESETS
from revseg.evidence.native.library import compiled
from tests.evidence.made import texture

DAVIS = Path(__file__).parents[4] / "shared" / "davis" / "JPEGImages" / "480p"


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if not compiled():
        pytest.skip("nothing can be compiled here")


def opencv(first: np.ndarray, second: np.ndarray, *, finest: int, preset: str = "medium") -> np.ndarray:
    search = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
    search.setFinestScale(finest)
    search.setVariationalRefinementIterations(0)
    return search.calc(first, second, None)


def mine(first: np.ndarray, second: np.ndarray, *, finest: int, preset: str = "medium") -> np.ndarray:
    stride, iterations = PRESETS[preset]
    return dense_flow(first, second, finest=finest, stride=stride, iterations=iterations)


def grey(seed: int, height: int, width: int) -> np.ndarray:
    return cv2.GaussianBlur(cv2.cvtColor(texture(seed, height, width), cv2.COLOR_RGB2GRAY), (5, 5), 0)


def frames(height: int, width: int, *, seed: int = 0, x: int = 2, y: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """The second shows what the first does, so many pixels farther right and down."""
    margin = max(abs(x), abs(y))
    whole = grey(seed, height + 2 * margin, width + 2 * margin)
    return tuple(
        np.ascontiguousarray(whole[margin - down : margin - down + height, margin - right : margin - right + width])
        for right, down in ((0, 0), (x, y))
    )


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """The same bits, where OpenCV is built with the library (IPP) by which its wheels for x86 enlarge flow. Elsewhere it rounds
    otherwise, and nearly everywhere it is the same flow."""
    if np.array_equal(one, other):
        return True
    error = np.hypot(*(one - other).transpose(2, 0, 1))
    wheel = re.search(r"Intel IPP: +\d", cv2.getBuildInformation())
    return not wheel and error.mean() < 0.02 and np.quantile(error, 0.99) < 0.1


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_those_of_opencv(preset: str) -> None:
    search = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
    assert (search.getPatchStride(), search.getGradientDescentIterations()) == PRESETS[preset]
    assert search.getPatchSize() == dis.SIDE
    assert search.getUseMeanNormalization()
    assert search.getUseSpatialPropagation()


@pytest.mark.parametrize("finest", [0, 1, 2])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (5, -3), (-11, 8)])
def test_a_shift_is_found(shift: tuple[int, int], finest: int) -> None:
    first, second = frames(200, 260, x=shift[0], y=shift[1])
    inner = mine(first, second, finest=finest)[24:-24, 24:-24]
    assert np.abs(np.median(inner, (0, 1)) - shift).max() < 0.05 * 2**finest
    assert np.quantile(np.hypot(*(inner - shift).transpose(2, 0, 1)), 0.9) < 0.3 * 2**finest


@pytest.mark.parametrize("finest", [0, 1, 2])
@pytest.mark.parametrize(
    "size",
    [(12, 12), (13, 12), (40, 8), (12, 200), (17, 31), (23, 40), (31, 64), (45, 44), (48, 90), (97, 63), (161, 162), (240, 427)],
)
def test_made_frames_of_any_size(size: tuple[int, int], finest: int) -> None:
    """Where OpenCV has a scale as coarse as that: beyond, it may crash."""
    first, second = frames(*size, seed=sum(size))
    found = mine(first, second, finest=finest)
    assert found.shape == (*size, 2)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    if scales(size[1], size[0], finest=finest)[1] == finest or max(size) < 40:
        assert close(found, opencv(first, second, finest=finest))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", range(12))
def test_frames_drawn_at_random(seed: int, preset: str) -> None:
    """Sizes and motion, some of it too fast to be found; noise, light that changes, and parts without texture."""
    draw = np.random.default_rng(seed)
    height, width = (int(side) for side in draw.integers(64, 300, 2))
    first, second = frames(height, width, seed=seed, x=int(draw.integers(-30, 31)), y=int(draw.integers(-30, 31)))
    second = (second * draw.uniform(0.7, 1.1) + draw.normal(0, draw.choice([0, 4]), second.shape)).clip(0, 255).astype(np.uint8)
    first[: height // 3, : width // 2] = 0
    second[height // 2 :, width // 3 :] = 255
    finest = int(draw.integers(0, 2))
    assert close(mine(first, second, finest=finest, preset=preset), opencv(first, second, finest=finest, preset=preset))


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("finest", [0, 1])
def test_without_texture_nothing_moves(grey: int, finest: int) -> None:
    frame = np.full((64, 100), grey, np.uint8)
    assert np.array_equal(mine(frame, frame, finest=finest), np.zeros((64, 100, 2)))
    assert np.isfinite(mine(frame, 255 - frame, finest=finest)).all()


@pytest.mark.skipif(not DAVIS.is_dir(), reason="no frames of DAVIS here")
@pytest.mark.parametrize("pair", [(0, 1), (5, 15)])
@pytest.mark.parametrize("sequence", ["blackswan", "dance-twirl", "motocross-jump", "car-shadow", "libby"])
@pytest.mark.parametrize("finest", [0, 1])
def test_real_frames_have_the_flow_of_opencv(sequence: str, pair: tuple[int, int], finest: int) -> None:
    first, second = (cv2.imread(str(DAVIS / sequence / f"{frame:05d}.jpg"), cv2.IMREAD_GRAYSCALE) for frame in pair)
    assert close(mine(first, second, finest=finest), opencv(first, second, finest=finest))


def test_the_number_of_opencvs_threads_makes_no_difference() -> None:
    """Its stripes are eight, whatever the threads."""
    first, second = frames(150, 200)
    threads = cv2.getNumThreads()
    try:
        for number in (1, 3):
            cv2.setNumThreads(number)
            assert close(mine(first, second, finest=0), opencv(first, second, finest=0))
    finally:
        cv2.setNumThreads(threads)


def placed(frame: np.ndarray, offset: int) -> np.ndarray:
    """The same at another place in memory, between other values."""
    whole = np.full(frame.size + 256, 171, np.uint8)
    there = whole[offset : offset + frame.size].reshape(frame.shape)
    there[:] = frame
    return there


def test_wherever_the_frames_lie_the_bits_are_the_same() -> None:
    first, second = frames(101, 163)
    expected = mine(first, second, finest=0)
    for offset in (0, 1, 7, 33, 64):
        assert np.array_equal(mine(placed(first, offset), placed(second, 64 - offset), finest=0), expected)
    wide = np.repeat(first, 2, 1)[:, ::2], np.asfortranarray(second)
    assert np.array_equal(mine(*wide, finest=0), expected)


def test_several_threads_find_the_same_bits() -> None:
    pairs = [frames(150 + seed, 210 - seed, seed=seed, x=3) for seed in range(4)]
    expected = [mine(*pair, finest=0) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = pool.map(lambda pair: mine(*pair, finest=0), pairs)
            assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_nothing_is_written_beside_the_frames_and_they_stay_as_they_are() -> None:
    first, second = (placed(frame, 64) for frame in frames(40, 60))
    before = first.base.copy(), second.base.copy()
    mine(first, second, finest=0)
    assert np.array_equal(first.base, before[0])
    assert np.array_equal(second.base, before[1])


@pytest.mark.parametrize(
    ("width", "height", "finest", "expected"),
    [
        (854, 480, 0, (5, 0)), (854, 480, 2, (5, 2)), (3840, 2160, 1, (7, 1)), (12, 12, 0, (0, 0)), (12, 12, 1, (0, 0)),
        (200, 12, 0, (0, 0)), (40, 12, 1, (0, 0)), (100, 100, 5, (2, 0)), (90, 48, 1, (1, 1)),
    ],
)  # fmt: skip
def test_scales_are_chosen(width: int, height: int, finest: int, expected: tuple[int, int]) -> None:
    assert scales(width, height, finest=finest) == expected


@pytest.mark.parametrize("size", [(11, 11), (7, 40), (40, 7)])
def test_frames_may_be_too_small(size: tuple[int, int]) -> None:
    frame = np.zeros(size, np.uint8)
    with pytest.raises(ValueError, match="too few"):
        mine(frame, frame, finest=0)


def test_what_is_asked_for_is_checked() -> None:
    frame = np.zeros((20, 20), np.uint8)
    with pytest.raises(ValueError, match="same size"):
        dense_flow(frame, frame[1:], finest=0, stride=3, iterations=25)
    with pytest.raises(ValueError, match="same size"):
        dense_flow(frame, frame.astype(np.float32), finest=0, stride=3, iterations=25)
    for stride, iterations in ((0, 25), (9, 25), (3, 1)):
        with pytest.raises(ValueError, match="pixels apart"):
            dense_flow(frame, frame, finest=0, stride=stride, iterations=iterations)


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, *values: object) -> None:
        values[-1][0] = 1

    monkeypatch.setattr(dis, "called", fails)
    with pytest.raises(MemoryError, match="30 x 20"):
        mine(np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8), finest=0)
