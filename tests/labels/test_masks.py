"""Masks in both encodings, and images that are in neither."""

import io
import os

import cv2
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


def test_equal_channels_are_numbers(tmp_path):
    assert (read_mask(save(tmp_path / "m.png", IDS, "RGB"), "davis2017") == IDS).all()
    assert (read_mask(save(tmp_path / "m.png", IDS, "RGBA"), "davis2017") == IDS).all()
    with pytest.raises(ValueError, match=r"m\.png holds only 0 and 255, which is void in encoding davis2017: set"):
        read_mask(save(tmp_path / "m.png", BINARY, "RGB"), "davis2017")


@pytest.mark.parametrize("encoding", ["davis2016", "davis2017"])
def test_colours_for_ids(tmp_path, encoding):
    image = Image.fromarray(IDS)
    image.putpalette(PASCAL_PALETTE.tobytes())
    image.convert("RGB").save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png has colours, such as \(128, 0, 0\): save it as an 8-bit palette or grey PNG"):
        read_mask(tmp_path / "m.png", encoding)


def test_a_palette_of_colours_is_not_binary(tmp_path):
    path = save(tmp_path / "m.png", IDS, palette=PASCAL_PALETTE.tobytes())
    with pytest.raises(ValueError, match=r"m\.png holds the value 1, but encoding davis2016 has only 0 and 255: set"):
        read_mask(path, "davis2016")


@pytest.mark.parametrize("first", [(255, 255, 255), (200, 30, 30)])
def test_a_palette_that_numbers_the_background_1(tmp_path, first):
    """As ids, object and background would change places."""
    image = Image.fromarray(np.uint8(BINARY == 0))
    image.putpalette([*first, 0, 0, 0])
    image.save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png has the number 1 where it is black, and 0 where it is \(\d+, .*: save"):
        read_mask(tmp_path / "m.png", "davis2017")
    if first == (255, 255, 255):
        assert (read_mask(tmp_path / "m.png", "davis2016") == BINARY // 255).all()


# Transparency


ROUND = np.hypot(*(np.mgrid[:30, :40] - np.array([14, 19])[:, None, None])) < 9


def rgba(colour, opacity):
    return np.dstack([np.broadcast_to(np.uint8(colour), (*ROUND.shape, 3)), np.uint8(opacity)])


@pytest.mark.parametrize(
    "pixels",
    [
        rgba(255, ROUND * 255),  # white on transparent white
        np.dstack([np.repeat(np.uint8(ROUND * 255)[..., None], 3, -1), np.uint8(ROUND * 255)]),  # on transparent black
        np.dstack([np.repeat(np.uint8(ROUND * 255)[..., None], 3, -1), np.full(ROUND.shape, 255, np.uint8)]),  # nowhere
        np.dstack([np.full(ROUND.shape, 255, np.uint8), np.uint8(ROUND * 255)]),  # grey with transparency
    ],
)
def test_what_is_transparent_is_background(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", "davis2016") == ROUND).all()


def test_a_transparent_value(tmp_path):
    """PNG may call one grey value transparent."""
    Image.fromarray(np.where(ROUND, 255, 90).astype(np.uint8)).save(tmp_path / "m.png", transparency=90)
    assert (read_mask(tmp_path / "m.png", "davis2016") == ROUND).all()
    Image.fromarray(np.where(ROUND, 3, 90).astype(np.uint8)).save(tmp_path / "m.png", transparency=90)
    assert (read_mask(tmp_path / "m.png", "davis2017") == 3 * ROUND).all()


def test_transparent_colours_of_a_palette(tmp_path):
    image = Image.fromarray(np.where(ROUND, 1, 7).astype(np.uint8))
    image.putpalette(PASCAL_PALETTE.tobytes())
    image.save(tmp_path / "m.png", transparency=7)
    assert (read_mask(tmp_path / "m.png", "davis2017") == ROUND).all()


def test_ids_with_transparency(tmp_path):
    pixels = rgba(2, ROUND * 255)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", "davis2017") == 2 * ROUND).all()


@pytest.mark.parametrize("encoding", ["davis2016", "davis2017"])
def test_black_on_transparent_is_no_mask(tmp_path, encoding):
    Image.fromarray(rgba(0, ROUND * 255)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png shows black on a transparent ground: save it as a grey PNG"):
        read_mask(tmp_path / "m.png", encoding)


# 16 bits


def test_16_bits(tmp_path):
    Image.fromarray(np.uint16(ROUND * 65535)).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", "davis2016") == ROUND).all()
    with pytest.raises(ValueError, match=r"holds only 0 and 65535, which is void in encoding davis2017: set the encoding"):
        read_mask(tmp_path / "m.png", "davis2017")
    Image.fromarray(np.uint16(ROUND * 254)).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", "davis2017") == 254 * ROUND).all()
    Image.fromarray(np.uint16(ROUND * 1001)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png holds the value 1001, but object ids are 1 to 254 and 255 is void: number"):
        read_mask(tmp_path / "m.png", "davis2017")


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_of_several_channels_are_not_cut(tmp_path, channels):
    """Pillow keeps the upper 8 bits: id 1 would be 0."""
    cv2.imwrite(str(tmp_path / "m.png"), np.repeat(np.uint16(ROUND)[..., None], channels, -1))
    with pytest.raises(ValueError, match=r"m\.png has pixels of kind RGBA? of 16 bits a channel: save it as an 8-bit palette or"):
        read_mask(tmp_path / "m.png", "davis2017")


@pytest.mark.parametrize("mode", ["F", "CMYK", "YCbCr", "LAB"])
def test_other_kinds_are_refused_by_name(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "m.tif")
    with pytest.raises(ValueError, match=rf"m\.tif has pixels of kind {mode}: save it as an 8-bit palette or grey PNG"):
        read_mask(tmp_path / "m.tif", "davis2017")


@pytest.mark.parametrize("name", ["m.bmp", "m.tif", "m.PNG"])
def test_other_files_without_loss(tmp_path, name):
    assert (read_mask(save(tmp_path / name, IDS), "davis2017") == IDS).all()
    assert (read_mask(save(tmp_path / name, BINARY), "davis2016") == BINARY // 255).all()


def test_several_pages(tmp_path):
    image = Image.fromarray(IDS)
    image.save(tmp_path / "m.tif", save_all=True, append_images=[image])
    with pytest.raises(ValueError, match=r"m\.tif has 2 pages: save one mask for each frame"):
        read_mask(tmp_path / "m.tif", "davis2017")


# Soft edges


def as_jpeg(mask, quality):
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


HARD = np.uint8(np.kron(ROUND, np.ones((2, 2))) * 255)
SQUARE = np.zeros((60, 80), np.uint8)
SQUARE[20:50, 13:61] = 255


@pytest.mark.parametrize("encoding", ["davis2016", "davis2017"])
@pytest.mark.parametrize("hard", [HARD, SQUARE])
@pytest.mark.parametrize(
    "soften",
    [
        lambda mask: cv2.GaussianBlur(mask, (0, 0), 0.5),
        lambda mask: cv2.GaussianBlur(mask, (0, 0), 3),
        lambda mask: cv2.GaussianBlur(mask, (0, 0), 12),  # nowhere white
        lambda mask: cv2.resize(mask, None, fx=2, fy=2),
        lambda mask: cv2.resize(mask, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        *(lambda mask, quality=quality: as_jpeg(mask, quality) for quality in (50, 75, 95)),
    ],
)
def test_soft_edges_and_jpeg_are_said_to_be_so(tmp_path, encoding, hard, soften):
    """As davis2017 they would be a hundred objects."""
    with pytest.raises(ValueError, match=r"m\.png has soft edges, with values such as \d+ between 0 and 255.*from 128 on to 255"):
        read_mask(save(tmp_path / "m.png", soften(hard)), encoding)


def test_half_transparent_edges_are_soft(tmp_path):
    Image.fromarray(np.dstack([np.full((*HARD.shape, 3), 255, np.uint8), cv2.GaussianBlur(HARD, (0, 0), 1)])).save(
        tmp_path / "m.png"
    )
    with pytest.raises(ValueError, match=r"m\.png has soft edges"):
        read_mask(tmp_path / "m.png", "davis2016")


@pytest.mark.parametrize("size", [1, 2, 3, 10])
@pytest.mark.parametrize("void", [0, 4])
def test_a_thousand_small_objects_have_no_soft_edges(tmp_path, size, void):
    random, mask = np.random.default_rng(size), np.zeros((120, 200), np.uint8)
    for number in range(1000):
        y, x = random.integers(0, mask.shape)
        mask[y : y + size, x : x + size] = 1 + number % 254
    mask[:void] = 255
    assert (read_mask(save(tmp_path / "m.png", mask), "davis2017") == mask).all()


def test_ids_with_holes(tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 5:20], mask[10:50, 20:40], mask[10:50, 45:75], mask[:5] = 1, 77, 254, 255
    assert (read_mask(save(tmp_path / "m.png", mask), "davis2017") == mask).all()


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
