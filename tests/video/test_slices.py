"""Volumes of every kind and number of channels, from real files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from revseg.video.read import iterate_frames, opened, probe, read_video
from revseg.video.reading import Reading

SHAPE = T, H, W = 5, 20, 30


def values(channels: int, dtype: str) -> np.ndarray:
    """(T, H, W, C) between 0 and 250."""
    return np.random.default_rng(0).integers(0, 251, (*SHAPE, channels)).astype(dtype)


def bytes_of(volume: np.ndarray) -> np.ndarray:
    """(C, T, H, W): what 0 ... 255 as the scale makes of it."""
    return np.moveaxis(volume, -1, 0).astype(np.uint8)


def write_pages(path: Path, pages: np.ndarray) -> Path:
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 12, 16])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64", ">f4"])
def test_an_array_of_any_channels_and_type(channels: int, dtype: str, tmp_path: Path) -> None:
    volume = values(channels, dtype)
    np.save(tmp_path / "volume.npy", volume)
    video = read_video(tmp_path / "volume.npy", reading=Reading(scale=None if dtype == "uint8" else [0, 255]))
    assert np.array_equal(video.volume.numpy(), bytes_of(volume))
    assert video.names == ("00000", "00001", "00002", "00003", "00004")
    assert video.native_size == (H, W)
    found = probe(tmp_path / "volume.npy")
    assert (found.native_size, found.channels, found.frames) == ((H, W), channels, T)


@pytest.mark.parametrize("axes", ["THWC", "CTHW", "HWTC", "cthw"])
def test_axes(axes: str, tmp_path: Path) -> None:
    volume = values(2, "uint8")
    np.save(tmp_path / "volume.npy", volume.transpose(["THWC".index(name) for name in axes.upper()]))
    assert np.array_equal(read_video(tmp_path / "volume.npy", reading=Reading(axes=axes)).volume.numpy(), bytes_of(volume))


def test_an_array_without_channels(tmp_path: Path) -> None:
    volume = values(1, "uint8")
    np.save(tmp_path / "volume.npy", volume[..., 0])
    np.save(tmp_path / "turned.npy", volume[..., 0].transpose(1, 2, 0))
    for name, axes in (("volume", None), ("turned", "HWT")):
        assert np.array_equal(read_video(tmp_path / f"{name}.npy", reading=Reading(axes=axes)).volume.numpy(), bytes_of(volume))


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_deep_tiff_pages(dtype: str, tmp_path: Path) -> None:
    volume = values(1, dtype)
    path = write_pages(tmp_path / "deep.tif", volume[..., 0])
    assert np.array_equal(read_video(path, reading=Reading(scale=[0, 255])).volume.numpy(), bytes_of(volume))
    assert read_video(path, height=10, reading=Reading(scale=[0, 255], max_frames=2)).volume.shape == (1, 2, 10, 15)


def test_rgb_pages_of_16_bits_are_not_cut_to_8(tmp_path: Path) -> None:
    volume = values(3, "uint16")
    cv2.imwritemulti(str(tmp_path / "deep.tif"), [np.ascontiguousarray(page[..., ::-1]) for page in volume])
    assert np.array_equal(read_video(tmp_path / "deep.tif", reading=Reading(scale=[0, 255])).volume.numpy(), bytes_of(volume))


def test_folders_of_slices(tmp_path: Path) -> None:
    """In the order of their numbers; their names are those of the masks."""
    volume = values(12, "float32")
    for kind in ("arrays", "first", "pages"):
        (tmp_path / kind).mkdir()
    for index, each in enumerate(volume):
        np.save(tmp_path / "arrays" / f"{8 + index}.npy", each)
        np.save(tmp_path / "first" / f"{8 + index}.npy", np.moveaxis(each, -1, 0))
        Image.fromarray(each[..., 0]).save(tmp_path / "pages" / f"s{index}.tif")
    arrays = read_video(tmp_path / "arrays", reading=Reading(scale=[0, 255]))
    assert arrays.names == ("8", "9", "10", "11", "12")
    assert np.array_equal(arrays.volume.numpy(), bytes_of(volume))
    assert np.array_equal(
        read_video(tmp_path / "first", reading=Reading(axes="CHW", scale=[0, 255])).volume.numpy(), bytes_of(volume)
    )
    pages = read_video(tmp_path / "pages", reading=Reading(scale=[0, 255]))
    assert np.array_equal(pages.volume.numpy(), bytes_of(volume[..., :1]))
    assert pages.names == ("s0", "s1", "s2", "s3", "s4")


def test_a_smaller_height_averages_every_channel(tmp_path: Path) -> None:
    volume = values(5, "uint8")
    np.save(tmp_path / "volume.npy", volume)
    means = bytes_of(volume).reshape(5, T, H // 2, 2, W // 2, 2).astype(float).mean((3, 5))
    found = read_video(tmp_path / "volume.npy", height=H // 2).volume.numpy()
    assert np.abs(found - means).max() <= 1  # Pillow rounds each direction
    np.save(tmp_path / "rgb.npy", volume[..., :3])
    assert np.array_equal(read_video(tmp_path / "rgb.npy", height=H // 2).volume.numpy(), found[:3])


def test_the_picture_of_every_frame(tmp_path: Path) -> None:
    volume = values(4, "int16")
    np.save(tmp_path / "volume.npy", volume)
    pictures = [picture for _, _, picture in iterate_frames(tmp_path / "volume.npy", reading=Reading(scale=[0, 255]))]
    assert len(pictures) == T
    assert np.array_equal(pictures[1][..., 2], volume[1, ..., 3])


def test_pictures_are_no_volume(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", values(3, "uint8"))
    assert opened(path) is None
    for name, value in (("axes", "THWC"), ("scale", [0, 1])):
        with pytest.raises(ValueError, match=rf"data\.{name} is about arrays and TIFF files of more than 8 bits: leave it out"):
            read_video(path, reading=Reading(**{name: value}))


@pytest.mark.parametrize(
    ("array", "axes", "sentence"),
    [
        (np.array([None, 1]), None, r"holds Python objects: save it again with numpy\.save"),
        (np.zeros((2, 3, 4), complex), None, r"has values of type complex128: save it as whole or real numbers"),
        (np.zeros((1, 1, 1, 1, 1)), None, r"has 5 axes, with shape \(1, 1, 1, 1, 1\): save it as \(T, H, W\) or \(T, H, W, C\)"),
        (np.zeros((3, 4)), None, r"has 2 axes, with shape \(3, 4\): save it as"),
        (np.zeros((0, 3, 4)), None, r"of shape \(0, 3, 4\) is empty"),
        (np.zeros((2, 3, 4)), "CTHW", r"has 3 axes, with shape \(2, 3, 4\): data\.axes=CTHW names 4 of them"),
        (np.zeros((2, 3, 4)), "XYZ", r"data\.axes is XYZ: give each of T, H, W once, and C where .* has channels"),
    ],
)
def test_bad_arrays(array: np.ndarray, axes: str | None, sentence: str, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=sentence):
        read_video(tmp_path / "bad.npy", reading=Reading(axes=axes))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing\.npy does not exist"):
        read_video(tmp_path / "missing.npy")
    (tmp_path / "text.npy").write_text("text")
    with pytest.raises(ValueError, match=r"text\.npy is not a whole \.npy file"):
        read_video(tmp_path / "text.npy")
    np.save(tmp_path / "cut.npy", values(1, "int16"))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"cut\.npy is not a whole \.npy file"):
        read_video(tmp_path / "cut.npy")


def test_bad_folders(tmp_path: Path) -> None:
    for name in ("mixed", "sizes", "several"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "mixed" / "0.npy", np.zeros((3, 4)))
    Image.new("RGB", (4, 3)).save(tmp_path / "mixed" / "1.png")
    with pytest.raises(ValueError, match=r"mixed holds files of several kinds: give \.npy, TIFF, or PNG and JPEG files alone"):
        read_video(tmp_path / "mixed")
    for index in range(2):
        np.save(tmp_path / "sizes" / f"{index}.npy", np.zeros((3 + index, 4)))
    with pytest.raises(ValueError, match=r"1\.npy has shape \(4, 4, 1\) and type float64, but the first has .*: give all slices"):
        read_video(tmp_path / "sizes")
    write_pages(tmp_path / "several" / "a.tif", values(1, "float32")[..., 0])
    with pytest.raises(ValueError, match=r"a\.tif has 5 pages: in a folder, give a file for each slice"):
        read_video(tmp_path / "several")


def test_a_header_that_is_no_literal_is_told(tmp_path: Path) -> None:
    """NumPy raises an error of Python's tokenizer there."""
    path = tmp_path / "cube.npy"
    np.save(path, np.zeros(SHAPE, np.uint8))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'shape': (", b"'shape': ((", 1)[: len(content)])
    with pytest.raises(ValueError, match=r"volume .*cube\.npy is not a whole \.npy file: save it again"):
        read_video(path)


@pytest.mark.filterwarnings("ignore")  # of Pillow, about tags
def test_a_damaged_page_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Whatever Pillow raises, and without the lines that OpenCV would print."""
    path = write_pages(tmp_path / "cube.tif", values(1, "uint16")[..., 0])
    content, kinds = path.read_bytes(), set()
    for offset in range(0, 240, 3):
        path.write_bytes(content[:offset] + b"\xff\x00\x07"[: len(content) - offset] + content[offset + 3 :])
        try:
            read_video(path)
        except ValueError as error:
            kinds.add(str(error).partition(": ")[0].partition(str(path))[0])
    assert kinds
    assert capfd.readouterr().err == ""


def test_a_picture_named_like_a_volume_is_refused_without_a_word_of_a_decoder(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    (tmp_path / "a.tif").write_bytes(b"\xff\xd8\xff\xe0" + bytes(12_000))  # no picture for Pillow; OpenCV's JPEG decoder begins
    with pytest.raises(ValueError, match=r"a\.tif is not a readable picture"):
        probe(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""
