"""Every kind of pixels of Pillow becomes RGB: scaled, with transparency over black, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.video.pixels import rgb
from revseg.video.read import read_video

PATH = Path("frames", "00007.png")
COLOURS = np.array([[[200, 100, 50], [0, 0, 0]], [[255, 255, 255], [10, 250, 128]]], np.uint8)


def bytes_of(image: Image.Image) -> np.ndarray:
    return np.asarray(rgb(image, PATH)).astype(int)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "HSV", "YCbCr", "CMYK"])
def test_colours_stay(mode: str) -> None:
    assert np.abs(bytes_of(Image.fromarray(COLOURS).convert(mode)) - COLOURS).max() <= 5


def test_a_palette_is_its_colours() -> None:
    image = Image.fromarray(COLOURS).quantize(4)
    assert np.abs(bytes_of(image) - COLOURS).max() <= 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La"])
def test_grey_is_three_equal_channels(mode: str) -> None:
    grey = np.array([[0, 255], [255, 0]], np.uint8)
    image = Image.fromarray(grey).convert("LA" if mode == "La" else mode)
    image = image.convert("La") if mode == "La" else image
    assert np.array_equal(bytes_of(image), np.repeat(grey[..., None], 3, -1))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bits_are_scaled(mode: str) -> None:
    grey = np.array([[0, 128], [200, 255]])
    deep = Image.fromarray((grey * 257).astype({"I;16": "<u2", "I;16B": ">u2", "I": "int32"}[mode]))
    assert deep.mode == mode
    assert np.array_equal(bytes_of(deep), np.repeat(grey[..., None], 3, -1))


def test_one_scale_for_all_frames_of_16_bits(tmp_path: Path) -> None:
    """A scale of each frame's own would flicker: here the frames have the same pixel beside a brighter one."""
    (tmp_path / "frames").mkdir()
    for index, most in enumerate((20_000, 40_000, 65_535)):
        Image.fromarray(np.array([[10_000, most]], np.uint16)).save(tmp_path / "frames" / f"{index}.png")
    volume = read_video(tmp_path / "frames").volume
    assert volume[:, :, 0, 0].unique().tolist() == [39]
    assert volume[0, :, 0, 1].tolist() == [78, 156, 255]


def test_16_bits_that_use_few_values_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(3):
        Image.fromarray(np.full((4, 6), 900, np.uint16)).save(tmp_path / "frames" / f"{index}.png")
    read_video(tmp_path / "frames")
    (record,) = caplog.records
    assert "has frames of 16 bits that have no value above 4096 of 65535 and are nearly black: save them" in record.message


def test_what_is_transparent_is_black() -> None:
    opacity = np.array([[255, 255], [0, 128]], np.uint8)
    expected = (COLOURS * (opacity[..., None] / 255)).round()
    image = Image.fromarray(np.dstack([COLOURS, opacity]))
    for each in (image, image.convert("RGBa")):
        assert np.abs(bytes_of(each) - expected).max() <= 1
    grey = Image.fromarray(np.dstack([COLOURS[..., 0], opacity]))
    for each in (grey, grey.convert("La")):
        assert np.abs(bytes_of(each)[..., 0] - expected[..., 0]).max() <= 1


def test_a_transparent_colour(tmp_path: Path) -> None:
    """PNG may call one value transparent: of a palette, of grey, of 16 bits and of RGB."""
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([200, 100, 50, 255, 255, 255])
    deep = Image.fromarray(np.array([[200 * 257, 65535]], np.uint16))
    for image, clear in (
        (palette, 1),
        (Image.fromarray(np.array([[200, 255]], np.uint8)), 255),
        (deep, 65535),
        (Image.fromarray(np.array([[[200, 0, 0], [255, 255, 255]]], np.uint8)), (255, 255, 255)),
    ):
        image.save(tmp_path / "a.png", transparency=clear)
        with Image.open(tmp_path / "a.png") as again:
            assert bytes_of(again)[0, :, 0].tolist() == [200, 0]


@pytest.mark.parametrize(("mode", "remedy"), [("F", "of kind F"), ("LAB", "of kind LAB")])
def test_other_kinds_are_refused_by_name(mode: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=rf"00007\.png has pixels {remedy}: save it as RGB or grey, of 8 or 16 bits"):
        rgb(Image.new(mode, (2, 2)), PATH)


def test_numbers_of_32_bits_are_refused() -> None:
    for value in (-1, 65536):
        with pytest.raises(ValueError, match=rf"has values from {value} to {value}: save it as RGB or grey, of 8 or 16 bits"):
            rgb(Image.fromarray(np.full((2, 2), value, np.int32)), PATH)
