"""TIFF stacks and animated WebP, written by Pillow, are read frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.video.read import probe, read_video
from revseg.video.reading import Reading
from revseg.video.stack import write_array, write_pages


def write(path: Path, pictures: np.ndarray, **settings: object) -> Path:
    first, *others = (Image.fromarray(picture) for picture in pictures)
    first.save(path, save_all=True, append_images=others, **settings)
    return path


def test_a_tiff_stack(tmp_path: Path, pictures) -> None:
    frames = pictures(frames=5, height=24, width=36)
    video = read_video(write(tmp_path / "a stack.TIF", frames))
    assert np.array_equal(video.volume.permute(1, 2, 3, 0).numpy(), frames)
    assert video.names == ("00000", "00001", "00002", "00003", "00004")
    assert video.frame_rate == 25
    first = read_video(tmp_path / "a stack.TIF", height=12, show=True, reading=Reading(max_frames=2))
    assert first.volume.shape == (3, 2, 12, 18)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (3, 8, 9), dtype=np.uint8)
    volume = read_video(write(tmp_path / "grey.tiff", grey)).volume.numpy()
    assert all(np.array_equal(channel, grey) for channel in volume)


def test_an_animated_webp_has_its_own_rate(tmp_path: Path, pictures) -> None:
    frames = pictures(frames=4, height=32, width=48)
    path = write(tmp_path / "moving.webp", frames, duration=50, lossless=True)
    video = read_video(path)
    assert np.array_equal(video.volume.permute(1, 2, 3, 0).numpy(), frames)
    assert video.frame_rate == probe(path).frame_rate == 20
    assert video.timestamps[-1] == Fraction(3, 20)


def test_16_bits_are_scaled_not_turned_white(tmp_path: Path) -> None:
    deep = np.linspace(300, 555, 2 * 72).reshape(2, 8, 9).astype(np.uint16)
    volume = read_video(write(tmp_path / "deep.tif", deep), reading=Reading(scale=[300, 555])).volume
    assert np.array_equal(volume[0].numpy(), deep - 300)


def test_masks_are_written_as_arrays_and_pages(tmp_path: Path) -> None:
    masks = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
    write_array(tmp_path / "any name", iter(masks), count=4)
    assert np.array_equal(np.load(tmp_path / "any name"), masks)
    write_pages(tmp_path / "other name", iter(masks))
    with Image.open(tmp_path / "other name") as image:
        assert image.n_frames == 4
        for index, mask in enumerate(masks):
            image.seek(index)
            assert np.array_equal(np.asarray(image), mask)


def test_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.tif is not a readable picture"):
        read_video(tmp_path / "text.tif")
