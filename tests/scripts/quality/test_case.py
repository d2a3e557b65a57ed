"""Spearman's correlation, by hand."""

import numpy as np
import pytest
from quality.case import rank_correlation


def test_only_the_order_counts() -> None:
    assert rank_correlation([1, 2, 3, 40], [0.1, 0.2, 0.25, 0.9]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 40], [4, 3, 2, 1]) == pytest.approx(-1)


def test_equal_ones_share_their_ranks() -> None:
    ranks = np.array([1.5, 1.5, 3, 4])
    assert rank_correlation([5, 5, 6, 7], [1, 2, 3, 4]) == pytest.approx(np.corrcoef(ranks, [1, 2, 3, 4])[0, 1])


def test_of_equal_values_nothing_is_told() -> None:
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
