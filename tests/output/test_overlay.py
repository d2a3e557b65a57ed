import numpy as np
import pytest

from revseg.output.overlay import overlay, palette_of

FRAME = np.full((5, 6, 3), 100, np.uint8)
MASK = np.array([[0, 0, 0, 0, 0, 0]] + [[0, 1, 1, 1, 0, 2]] * 3 + [[0, 0, 0, 0, 0, 0]], np.uint8)


def test_tint_and_contour():
    result = overlay(FRAME, MASK)
    assert (result[MASK == 0] == 100).all()
    assert result[2, 2].tolist() == [114, 50, 50]  # the only pixel of object 1 with no other label beside it
    assert result[1, 1].tolist() == [192, 128, 128]
    assert result[2, 5].tolist() == [128, 192, 128]
    assert (FRAME == 100).all()


def test_alpha():
    assert overlay(FRAME, MASK, alpha=0)[2, 2].tolist() == [100, 100, 100]
    assert overlay(FRAME, MASK, alpha=1)[2, 2].tolist() == [128, 0, 0]


def test_other_colours_and_no_contour():
    result = overlay(FRAME, MASK, alpha=1, palette=palette_of([(10, 20, 30)]), contours=False)
    assert (result[MASK == 1] == (10, 20, 30)).all()
    assert (result[MASK == 2] == (0, 128, 0)).all()  # of DAVIS, where no other is given


def test_no_object():
    assert (overlay(FRAME, np.zeros((5, 6), np.uint8)) == FRAME).all()


def test_other_size():
    with pytest.raises(ValueError, match="mask of 6 x 4 pixels cannot be drawn on a frame of 6 x 5: resize it first"):
        overlay(FRAME, MASK[:4])
