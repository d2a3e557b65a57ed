"""The colours of labels, as PASCAL VOC and DAVIS have them."""

import numpy as np

from revseg.labels.palette import PASCAL_PALETTE, VOID


def test_palette():
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert [tuple(colour) for colour in PASCAL_PALETTE[:7].tolist()] == expected
    assert PASCAL_PALETTE[8].tolist() == [64, 0, 0]
    assert PASCAL_PALETTE[255].tolist() == [224, 224, 192]
    assert len({tuple(colour) for colour in PASCAL_PALETTE.tolist()}) == 256
    assert (PASCAL_PALETTE.shape, PASCAL_PALETTE.dtype) == ((256, 3), np.uint8)


def test_void_is_the_last_label():
    assert VOID == np.iinfo(np.uint8).max == len(PASCAL_PALETTE) - 1
