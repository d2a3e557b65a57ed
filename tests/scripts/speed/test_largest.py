"""The search for the longest video that fits."""

from math import inf

import pytest
from speed.largest import fitting, following

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("per_frame", "fixed"), [(10.0, 5.0), (1.0, 0.0), (3.0, 400.0)])
def test_it_finds_the_longest_video_that_fits(per_frame: float, fixed: float) -> None:
    peaks: dict[int, float] = {}
    while (frames := following(peaks, 1000)) is not None:
        assert frames % 8 == 0
        assert len(peaks) < 8
        peaks[frames] = fixed + per_frame * frames
    assert fitting(peaks, 1000) == int((1000 - fixed) / per_frame) // 8 * 8


def test_it_ends_where_nothing_fits_and_where_memory_runs_out() -> None:
    nothing: dict[int, float] = {}
    while (frames := following(nothing, 10)) is not None:
        nothing[frames] = 100.0 * frames
    assert fitting(nothing, 10) == 0
    bounded: dict[int, float] = {}
    while (frames := following(bounded, 10**9)) is not None:
        assert len(bounded) < 40
        bounded[frames] = inf if frames > 100 else 5.0 + frames
    assert fitting(bounded, 10**9) == 96
