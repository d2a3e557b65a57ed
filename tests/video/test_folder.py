"""Which files of a folder are frames, and which are told of."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.video.read import iterate_frames, probe, read_video
from revseg.video.reading import Reading


def write(folder: Path, names: list[str]) -> Path:
    """Frame i is grey of the value 20 i."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.new("RGB", (6, 4), (20 * index,) * 3).save(folder / name)
    return folder


def test_frames_come_in_the_order_of_numbers_inside_their_names(tmp_path: Path) -> None:
    names = [f"frame_{number}.png" for number in range(1, 13)]
    folder = write(tmp_path / "frames", names)
    video = read_video(folder)
    assert video.names == tuple(name.removesuffix(".png") for name in names)
    assert video.volume[0, :, 0, 0].tolist() == [20 * index for index in range(12)]
    assert [int(picture[0, 0, 0]) for _, _, picture in iterate_frames(folder)] == [20 * index for index in range(12)]


def test_arrays_too(tmp_path: Path) -> None:
    for number in (2, 10, 9):
        np.save(tmp_path / f"slice {number} of 12.npy", np.full((3, 4), number, np.uint8))
    assert read_video(tmp_path).volume[0, :, 0, 0].tolist() == [2, 9, 10]
    np.save(tmp_path / "mean.npy", np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match=r"mean\.npy is named otherwise than slice 2 of 12\.npy"):
        read_video(tmp_path)


def test_suffixes_in_upper_and_lower_case_and_hidden_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path / "frames", ["0.PNG", "1.png", "2.jpg", "3.JPEG"])
    (folder / "._0.png").write_bytes(b"\0\5\26\7")
    (folder / ".DS_Store").touch()
    (folder / "4.png").mkdir()
    assert read_video(folder).names == ("0", "1", "2", "3")
    assert not caplog.records


def test_files_named_like_frames_that_are_none_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path / "frames", ["f_0.png", "f_1.png", "f_3.png", "f_2.webp"])
    (folder / "f_0.json").touch()
    (folder / "notes.txt").touch()
    probe(folder)
    assert read_video(folder).names == ("f_0", "f_1", "f_3")
    (record,) = caplog.records
    assert record.message == f"{folder}: f_0.json, f_2.webp are not used: frames are JPEG or PNG"


def test_a_folder_of_other_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no frame: put JPEG or PNG images in it, one per frame; 0\.webp is neither"):
        read_video(write(tmp_path / "frames", ["0.webp", "1.webp"]))


def test_a_link_to_nothing_is_a_frame_that_cannot_be_decoded(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", ["0.png", "2.png"])
    (folder / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="frame 1 of .*frames cannot be decoded"):
        read_video(folder)
    assert read_video(folder, reading=Reading(on_error="skip")).lost == ("1",)


def test_a_frame_without_a_meaning_as_colours_names_its_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", ["0.png"])
    Image.new("F", (6, 4)).save(folder / "1.tif")
    (folder / "1.tif").rename(folder / "1.png")
    with pytest.raises(ValueError, match=r"1\.png has pixels of kind F: save it as RGB or grey"):
        read_video(folder)


def test_transparent_pages_and_animations_are_over_black(tmp_path: Path) -> None:
    """White that is transparent is not seen."""
    pages = [Image.new("RGBA", (6, 4), (255, 255, 255, opacity)) for opacity in (0, 255)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "a.webp", save_all=True, append_images=pages[1:], lossless=True, duration=40)
    (tmp_path / "pages").mkdir()
    for index, page in enumerate(pages):
        page.save(tmp_path / "pages" / f"{index}.tif")
    for name in ("a.tif", "a.webp", "pages"):
        assert read_video(tmp_path / name).volume[:, :, 0, 0].tolist() == [[0, 255]] * 3, name


def test_a_pipe_among_the_frames_is_not_waited_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", ["00000.png", "00001.png"])
    os.mkfifo(folder / "00002.png")
    assert read_video(folder).names == ("00000", "00001")
