"""J, F and their statistics: cases worked by hand, and a slow reference for random masks."""

from itertools import product

import numpy as np
import pytest

from revseg.evaluation.measures import boundary, contour_accuracy, dilate, region_similarity, statistics


def picture(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def pixels(shape: tuple[int, int], *where: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for position in where:
        mask[position] = True
    return mask


EMPTY, FULL = np.zeros((6, 8), bool), np.ones((6, 8), bool)
DOT = pixels((6, 8), (2, 3))


class TestRegionSimilarity:
    def test_overlap(self) -> None:
        prediction = picture("##..", "##..")
        truth = picture(".##.", ".##.")
        assert region_similarity(prediction, truth) == pytest.approx(2 / 6, abs=1e-6)

    def test_void_leaves_union_and_intersection(self) -> None:
        prediction = picture("##..", "##..")
        truth = picture(".##.", ".##.")
        only_predicted, in_both = pixels((2, 4), (0, 0)), pixels((2, 4), (0, 1))
        assert region_similarity(prediction, truth, only_predicted) == pytest.approx(2 / 5, abs=1e-6)
        assert region_similarity(prediction, truth, in_both) == pytest.approx(1 / 5, abs=1e-6)

    @pytest.mark.parametrize(
        ("prediction", "truth", "void", "expected"),
        [
            (EMPTY, EMPTY, None, 1.0),
            (FULL, FULL, None, 1.0),
            (DOT, EMPTY, None, 0.0),
            (EMPTY, DOT, None, 0.0),
            (DOT, FULL, None, 1 / 48),
            (DOT, EMPTY, DOT, 1.0),  # the union is empty without its void pixel
            (FULL, EMPTY, FULL, 1.0),
        ],
    )
    def test_empty_and_full(self, prediction, truth, void, expected) -> None:
        assert region_similarity(prediction, truth, void) == pytest.approx(expected, abs=1e-6)

    def test_refuses_other_size(self) -> None:
        with pytest.raises(ValueError, match=r"\(6, 8\).*\(5, 8\)"):
            region_similarity(EMPTY, FULL[:5])


class TestBoundary:
    @pytest.mark.parametrize(
        ("mask", "expected"),
        [
            # a pixel, and those that have it as east, south and south-east neighbour
            (
                picture(".....", ".....", "..#..", ".....", "....."),
                picture(".....", ".##..", ".##..", ".....", "....."),
            ),
            # the top row and the left column are ordinary
            (
                picture("#....", ".....", ".....", ".....", "....."),
                picture("#....", ".....", ".....", ".....", "....."),
            ),
            # the last row looks only east
            (
                picture(".....", ".....", ".....", ".....", ".##.."),
                picture(".....", ".....", ".....", "###..", "#.#.."),
            ),
            (
                picture(".....", ".....", ".....", ".....", "#####"),
                picture(".....", ".....", ".....", "#####", "....."),
            ),
            # the last column looks only south
            (
                picture(".....", "....#", "....#", ".....", "....."),
                picture("...##", "...#.", "...##", ".....", "....."),
            ),
            (
                picture("....#", "....#", "....#", "....#", "....#"),
                picture("...#.", "...#.", "...#.", "...#.", "...#."),
            ),
            # the last pixel looks nowhere
            (
                picture(".....", ".....", ".....", ".....", "....#"),
                picture(".....", ".....", ".....", "...##", "...#."),
            ),
            # a filled square: its upper left rim lies outside, its lower right rim inside
            (
                picture(".....", ".###.", ".###.", ".###.", "....."),
                picture("####.", "#..#.", "#..#.", "####.", "....."),
            ),
            (np.ones((5, 5), bool), np.zeros((5, 5), bool)),
            (np.ones((1, 1), bool), np.zeros((1, 1), bool)),
        ],
    )
    def test_literal(self, mask, expected) -> None:
        np.testing.assert_array_equal(boundary(mask), expected)


class TestDilate:
    def test_disk_of_radius_2(self) -> None:
        expected = picture("...#...", "..###..", ".#####.", "..###..", "...#...")
        np.testing.assert_array_equal(dilate(pixels((5, 7), (2, 3)), 2), expected)

    def test_disk_of_radius_8(self) -> None:
        disk = dilate(pixels((21, 25), (10, 12)), 8)
        widths = [0, 0, 1, 7, 11, 13, 13, 15, 15, 15, 17, 15, 15, 15, 13, 13, 11, 7, 1, 0, 0]
        assert disk.sum(axis=1).tolist() == widths
        assert disk.sum() == 197

    def test_disk_larger_than_mask(self) -> None:
        assert dilate(pixels((3, 2), (0, 0)), 9).all()
        np.testing.assert_array_equal(dilate(pixels((1, 6), (0, 1)), 2), picture("####.."))


class TestContourAccuracy:
    @pytest.mark.parametrize(
        ("prediction", "truth", "expected"),
        [
            (EMPTY, EMPTY, 1.0),
            (FULL, FULL, 1.0),
            (FULL, EMPTY, 1.0),  # neither has a boundary
            (DOT, EMPTY, 0.0),
            (EMPTY, DOT, 0.0),
            (DOT, FULL, 0.0),
            (DOT, DOT, 1.0),
            (pixels((6, 8), (0, 0)), pixels((6, 8), (5, 7)), 0.0),  # both have one, nothing matches
        ],
    )
    def test_empty_boundaries(self, prediction, truth, expected) -> None:
        assert contour_accuracy(prediction, truth) == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize(
        ("shape", "shift", "expected"),
        [
            # one pixel has a boundary of 2 x 2, all of whose pixels match, or those nearest, or none
            ((480, 854), (0, 8), 1.0),
            ((480, 854), (8, 0), 1.0),
            ((480, 854), (0, 9), 0.5),
            ((480, 854), (-9, 0), 0.5),
            ((480, 854), (0, 10), 0.0),
            ((480, 854), (5, 6), 1.0),  # 5^2 + 6^2 = 61 <= 64
            ((480, 854), (6, 6), 0.75),  # 72 > 64: a disk, not a square
            ((75, 100), (0, 2), 0.5),  # 0.008 * 125 is exactly 1
            ((76, 100), (0, 2), 1.0),
            ((6, 8), (0, 2), 0.5),  # never below 1
        ],
    )
    def test_tolerance(self, shape, shift, expected) -> None:
        row, column = shape[0] // 2, 3
        prediction, truth = pixels(shape, (row, column)), pixels(shape, (row + shift[0], column + shift[1]))
        assert contour_accuracy(prediction, truth) == pytest.approx(expected, abs=1e-6)
        assert contour_accuracy(truth, prediction) == pytest.approx(expected, abs=1e-6)

    def test_precision_and_recall(self) -> None:
        truth, prediction = pixels((40, 40), (10, 10)), pixels((40, 40), (10, 10), (30, 30))
        assert contour_accuracy(prediction, truth) == pytest.approx(2 * 0.5 * 1 / 1.5, abs=1e-6)
        assert contour_accuracy(truth, prediction) == pytest.approx(2 * 0.5 * 1 / 1.5, abs=1e-6)

    def test_last_row_and_column(self) -> None:
        prediction, truth = pixels((6, 8), (5, 7)), pixels((6, 8), (5, 5))
        # prediction: (4, 6) (4, 7) (5, 6); truth: (4, 4) (4, 5) (5, 4) (5, 5); within 1: P = 2/3, R = 2/4
        assert contour_accuracy(prediction, truth) == pytest.approx(4 / 7, abs=1e-6)

    def test_void_is_zeroed_before_boundaries(self) -> None:
        left_half = np.zeros((20, 20), bool)
        left_half[:, :10] = True
        full = np.ones_like(left_half)
        assert contour_accuracy(left_half, full) == pytest.approx(0.0, abs=1e-6)
        assert contour_accuracy(left_half, full, void=~left_half) == pytest.approx(1.0, abs=1e-6)
        # Leaving void pixels out of the boundaries instead would give 0: the predicted one is all void.
        narrow = left_half & (np.arange(20) < 4)
        assert contour_accuracy(left_half, narrow, void=left_half & ~narrow) == pytest.approx(1.0, abs=1e-6)
        assert contour_accuracy(left_half, full, void=full) == pytest.approx(1.0, abs=1e-6)


class TestStatistics:
    def check(self, values: list[float], mean: float, recall: float, decay: float) -> None:
        result = statistics(values)
        assert (result.mean, result.recall, result.decay) == pytest.approx((mean, recall, decay), abs=1e-6)

    def test_quarters_share_border_frames(self) -> None:
        # borders 0 2 4 6 8: first quarter frames 0-2, last 6-8
        self.check([0.9, 0.8, 0.7, 1, 1, 1, 0.4, 0.2, 0.3], mean=0.7, recall=6 / 9, decay=0.8 - 0.3)

    def test_border_at_a_half_rounds_up(self) -> None:
        # linspace(1, 4, 5) = 1 1.75 2.5 3.25 4: borders 0 1 2 2 3
        self.check([1.0, 0.5, 0.6, 0.2], mean=0.575, recall=0.5, decay=0.75 - 0.4)
        # linspace(1, 11, 5) = 1 3.5 6 8.5 11: borders 0 3 5 8 10; rounding half to even has 7, not 8
        self.check([1.0] * 4 + [0.5] * 4 + [0.0] * 3, mean=6 / 11, recall=4 / 11, decay=1.0)

    def test_recall_is_above_a_half_not_at_it(self) -> None:
        self.check([0.5, 0.5], mean=0.5, recall=0.0, decay=0.0)

    @pytest.mark.parametrize("value", [0.0, 0.7, 1.0])
    def test_one_frame(self, value: float) -> None:
        self.check([value], mean=value, recall=float(value > 0.5), decay=0.0)

    def test_two_and_three_frames(self) -> None:
        self.check([0.8, 0.4], mean=0.6, recall=0.5, decay=0.4)  # borders 0 0 1 1 1
        self.check([0.9, 0.6, 0.3], mean=0.6, recall=2 / 3, decay=0.45)  # borders 0 1 1 2 2

    def test_more_than_256_frames(self) -> None:
        # borders 0 100 200 300 400; in 8 bits 300 and 400 would be 44 and 144
        values = [1.0] * 101 + [0.5] * 199 + [0.0] * 101
        self.check(values, mean=200.5 / 401, recall=101 / 401, decay=1.0)


class TestAgainstReference:
    """Point sets and all pairwise distances: slow, and nothing in common with the code under test."""

    @staticmethod
    def boundary_points(mask: np.ndarray) -> np.ndarray:
        height, width = mask.shape
        found = []
        for y, x in product(range(height), range(width)):
            if y == height - 1 and x == width - 1:
                continue
            neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            inside = [(v, u) for v, u in neighbours if v < height and u < width]
            if any(mask[y, x] != mask[position] for position in inside):
                found.append((y, x))
        return np.array(found).reshape(-1, 2)

    def f(self, prediction: np.ndarray, truth: np.ndarray, void: np.ndarray) -> float:
        p, t = (self.boundary_points(np.where(void, False, mask)) for mask in (prediction, truth))
        if len(p) == 0 or len(t) == 0:
            return float(len(p) == len(t))
        radius = np.ceil(0.008 * np.linalg.norm(prediction.shape))
        near = np.linalg.norm(p[:, None] - t[None], axis=-1) <= radius
        precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
        return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)

    @staticmethod
    def j(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray) -> float:
        p, t = (set(map(tuple, np.argwhere(mask & ~void).tolist())) for mask in (prediction, truth))
        return len(p & t) / len(p | t) if p | t else 1.0

    @staticmethod
    def blob(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
        """A noisy ellipse, possibly cut off by the frame."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        center, size = random.uniform(0, shape), random.uniform(0.05, 0.5, 2) * shape
        inside = ((y - center[0]) / size[0]) ** 2 + ((x - center[1]) / size[1]) ** 2 < 1
        return inside ^ (random.random(shape) < 0.003)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (5, 6), (13, 11), (90, 120), (202, 260)])
    def test_random_masks(self, shape) -> None:
        random = np.random.default_rng(shape)
        for density in (0.02, 0.5, 0.98) if shape[0] < 50 else (None, None):
            if density is None:
                prediction, truth, void = (self.blob(shape, random) for _ in range(3))
            else:
                prediction, truth = random.random((2, *shape)) < density
                void = random.random(shape) < 0.1
            for ignored in (void, np.zeros(shape, bool)):
                expected = self.j(prediction, truth, ignored), self.f(prediction, truth, ignored)
                measured = [m(prediction, truth, ignored) for m in (region_similarity, contour_accuracy)]
                assert measured == pytest.approx(expected, abs=1e-6)
