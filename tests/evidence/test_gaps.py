"""Frames between labelled ones."""

from revseg.evidence.gaps import gaps_between


def test_gaps_of_a_video() -> None:
    found = gaps_between((2, 3, 6), 9)
    assert [(gap.first, gap.stop, gap.rows, gap.only) for gap in found] == [
        (0, 2, [0], False),
        (4, 6, [1, 2], False),
        (7, 9, [2], False),
    ]
    assert gaps_between((0,), 1) == []


def test_frames_come_as_labels_pass_them() -> None:
    gap = gaps_between((2, 6), 7)[1]
    assert list(gap.frames_from(0)) == [3, 4, 5]
    assert list(gap.frames_from(1)) == [5, 4, 3]


def test_the_frame_that_gives_labels_back() -> None:
    before, gap = gaps_between((2, 6), 7)
    assert [gap.virtual(0, share) for share in (0.25, 0.5, 0.75, 2)] == [3, 4, 5, 5]
    assert [gap.virtual(1, share) for share in (0.25, 0.5, 0.75)] == [5, 4, 3]
    assert gap.virtual(0, 0.1) is None  # too near
    assert before.virtual(0, 0.5) is None  # beyond the outer labelled frame
    assert gaps_between((2,), 7)[0].virtual(0, 0.5) == 0  # but with one alone
