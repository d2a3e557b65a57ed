"""Which window of a video a step sees."""

from collections import Counter

import pytest

from revseg.training.window import most_labelled, window_of_step


@pytest.mark.parametrize("labelled", [(0,), (99,), (3, 50, 99), tuple(range(100))])
def test_a_window_has_a_labelled_frame_anywhere_in_it(labelled: tuple[int, ...]) -> None:
    seen = [window_of_step(labelled, 100, 8, seed=0, index=index) for index in range(300)]
    for window in seen:
        assert len(window) == 8
        assert 0 <= window.start <= window.stop <= 100
        assert any(frame in window for frame in labelled)
    assert seen == [window_of_step(labelled, 100, 8, seed=0, index=index) for index in range(300)]
    assert (len(set(seen)) > 1) == (labelled not in {(0,), (99,)})


def test_each_labelled_frame_has_its_turn() -> None:
    counts = Counter(window_of_step((10, 50, 90), 100, 8, seed=1, index=index).start // 33 for index in range(600))
    assert all(150 < count < 250 for count in counts.values()), counts


def test_all_frames_are_seen_where_no_window_is_shorter() -> None:
    for window in (None, 12, 50):
        assert window_of_step((3,), 12, window, seed=0, index=4) == range(12)


def test_most_labelled_frames_of_a_window() -> None:
    assert most_labelled((0, 5, 9, 10, 40), 50, 5) == 2
    assert most_labelled((0, 5, 9, 10, 40), 50, 6) == 3
    assert most_labelled((0, 5, 9, 10, 40), 50, None) == 5
    assert most_labelled((), 50, 6) == 0
