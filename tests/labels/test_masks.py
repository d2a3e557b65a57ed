"""Masks in both encodings, and images that are in neither."""

import os

import numpy as np
import pytest
from PIL import Image

from revseg.labels.masks import read_mask, resize_mask, write_mask
from revseg.labels.palette import PASCAL_PALETTE

BINARY = np.array([[0, 255, 255], [0, 0, 255]], np.uint8)
IDS = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)


def save(path, pixels, mode="L", palette=None):
    image = Image.fromarray(pixels).convert(mode) if palette is None else Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def test_written_as_davis_does(tmp_path):
    path = tmp_path / "new" / "00000.png"
    write_mask(path, IDS)
    assert (read_mask(path, "davis2017") == IDS).all()
    assert read_mask(path, "davis2017").dtype == np.uint8
    header = path.read_bytes()[:33]
    assert header[24:26] == bytes([8, 3])  # bits per pixel, colour type: palette
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.getpalette() == PASCAL_PALETTE.ravel().tolist()
    assert os.listdir(path.parent) == ["00000.png"]


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "P"])
def test_davis2016(tmp_path, mode):
    """Some published masks of DAVIS-2016 are RGB or RGBA."""
    assert (read_mask(save(tmp_path / "m.png", BINARY, mode), "davis2016") == BINARY // 255).all()


@pytest.mark.parametrize("palette", [None, PASCAL_PALETTE.tobytes()])
def test_davis2017(tmp_path, palette):
    assert (read_mask(save(tmp_path / "m.png", IDS, palette=palette), "davis2017") == IDS).all()


def test_a_frame_of_void_and_background(tmp_path):
    path = save(tmp_path / "m.png", BINARY, palette=PASCAL_PALETTE.tobytes())
    assert (read_mask(path, "davis2017") == BINARY).all()


def test_empty_masks(tmp_path):
    empty = np.zeros((2, 3), np.uint8)
    for encoding in ("davis2016", "davis2017"):
        assert not read_mask(save(tmp_path / "m.png", empty), encoding).any()


def test_ids_in_a_binary_encoding(tmp_path):
    with pytest.raises(ValueError, match=r"m\.png holds the value 1, but encoding davis2016 has only 0 and 255: set"):
        read_mask(save(tmp_path / "m.png", IDS), "davis2016")


@pytest.mark.parametrize("palette", [None, bytes(value for value in range(256) for _ in "rgb")])
def test_binary_in_an_encoding_of_ids(tmp_path, palette):
    """Read as davis2017, all of the object would be void, and nothing would be learnt."""
    path = save(tmp_path / "m.png", BINARY, palette=palette)
    with pytest.raises(ValueError, match=r"m\.png holds only 0 and 255, which is void in encoding davis2017: set"):
        read_mask(path, "davis2017")


def test_colours_for_ids(tmp_path):
    with pytest.raises(ValueError, match=r"m\.png is a RGB image, but encoding davis2017 needs object ids: save"):
        read_mask(save(tmp_path / "m.png", BINARY, "RGB"), "davis2017")


def test_unknown_encoding(tmp_path):
    with pytest.raises(ValueError, match="mask encoding is 'auto': choose one of davis2016, davis2017"):
        read_mask(save(tmp_path / "m.png", BINARY), "auto")


@pytest.mark.parametrize("content", [b"", b"text", "half"])
def test_not_an_image(tmp_path, content):
    path = tmp_path / "m.png"
    write_mask(path, np.random.default_rng(0).integers(0, 9, (50, 50), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=r"mask .*m\.png is not a readable image .*: save it again as an 8-bit PNG"):
        read_mask(path, "davis2017")


def test_missing(tmp_path):
    with pytest.raises(ValueError, match=r"mask .*m\.png does not exist: add it"):
        read_mask(tmp_path / "m.png", "davis2017")


def test_resize():
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (resize_mask(mask, 2, 3) == mask).all()
    assert (resize_mask(mask, 4, 6) == mask.repeat(2, 0).repeat(2, 1)).all()
    assert resize_mask(mask, 1, 1).tolist() == [[4]]  # the pixel at the centre
    assert resize_mask(np.array([[0, 7, 0, 0, 9, 0]], np.uint8), 1, 2).tolist() == [[7, 9]]
    large = np.random.default_rng(0).integers(0, 9, (480, 854), dtype=np.uint8)
    with Image.fromarray(large) as image:
        same = resize_mask(large, 96, 171) == np.asarray(image.resize((171, 96), Image.Resampling.NEAREST))
    assert same.mean() > 0.99  # not all: Pillow rounds the positions


def test_real_mask(clip_root):
    mask = read_mask(clip_root / "Annotations" / "480p" / "barrel" / "00000.png", "davis2016")
    assert mask.shape == (144, 256)
    assert np.unique(mask).tolist() == [0, 1]
