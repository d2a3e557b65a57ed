"""Which mask belongs to which frame, and names that leave it open."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from revseg.labels.assignment import masks_by_frame
from revseg.labels.frames import Frames

VIDEO = Frames(Path("clip2.mp4"), tuple(f"{index:05d}" for index in range(24)), (4, 6), total=24)


def folder_of(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        if Path(name).suffix.lower() in (".png", ".bmp", ".tif", ".tiff"):
            Image.new("L", (6, 4)).save(folder / name)
        else:
            (folder / name).write_bytes(b"other")
    return folder


def frames_in(folder: Path, *names: str) -> Frames:
    return Frames(folder_of(folder, *names), tuple(Path(name).stem for name in names), (4, 6))


@pytest.mark.parametrize(
    "pattern",
    [
        "{:05d}.png",
        "{}.PNG",
        "{}.bmp",
        "{}.tiff",
        "frame_{:06d}.png",  # CVAT, XMem++, ffmpeg
        "Frame {}.png",
        "img ({}).png",
        "{:05d}_mask.png",
        "clip2_{:05d}.png",  # the video's name has a number
        "clip2.mp4_{:05d}.png",
        "take 3, frame {}, 1080p.png",
    ],
)
def test_the_number_in_its_name_is_that_of_its_frame(pattern: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = folder_of(tmp_path / "masks", *(pattern.format(number) for number in (2, 12, 23)))
    assert masks_by_frame(folder, VIDEO) == {number: folder / pattern.format(number) for number in (2, 12, 23)}
    told = [f"{pattern.format(2)} labels frame 00002 of clip2.mp4, counted from 0, and so on"]
    assert [record.message for record in caplog.records] == ([] if pattern.startswith("{}") or pattern == "{:05d}.png" else told)


@pytest.mark.parametrize("name", ["frame_000012.png", "12.png", "video_frame_12.png", "clip2_000012.png", "take1 frame12.png"])
def test_a_single_mask_has_the_last_number_of_its_name(name: str, tmp_path: Path) -> None:
    assert masks_by_frame(folder_of(tmp_path, name), VIDEO) == {12: tmp_path / name}


def test_a_video_whose_name_is_a_number(tmp_path: Path) -> None:
    frames = replace(VIDEO, source=Path("1.mp4"))
    assert list(masks_by_frame(folder_of(tmp_path, "1.png", "12.png"), frames)) == [1, 12]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["frame_2.png", "00012.png"], r"frame_2\.png are named in two ways, so that their numbers may not mean the same"),
        (
            ["a1_2.png", "a2_3.png"],
            r"a1_2\.png does not tell which number in its name is that of its frame: name it like 00012\.png",
        ),
        (["t0.5.png", "t0.7.png"], r"t0\.5\.png does not tell which number"),
        (["2024-01-05_10-30-12.png"], r"2024-01-05_10-30-12\.png does not tell which number"),
        (["frame_2.png", "frame_02.png"], r"frame_2\.png and .*frame_02\.png are masks of one frame: remove one"),
        (["2.png", "2.tif"], r"2\.tif and .*2\.png are masks of one frame: remove one"),
        (
            ["2.png", "overview.png"],
            r"overview\.png is for a frame that does not exist: clip2\.mp4 has frames 00000 to 00023, and a",
        ),
        (
            ["2.png", "24.png"],
            r"24\.png is for a frame that does not exist: .*; frames are counted from 0: where masks were counted",
        ),
        (["frame_1.png", "frame_24.png"], r"counted from 1, as ffmpeg does, subtract 1 from all numbers"),
        (["0.png", "24.png"], r"24\.png is for a frame that does not exist: .*; rename or remove it$"),
        (["frame_99.png"], r"frame_99\.png is for a frame that does not exist: .*; rename or remove it$"),
    ],
)
def test_names_that_leave_it_open_are_refused(names: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        masks_by_frame(folder_of(tmp_path / "masks", *names), VIDEO)


def test_a_mask_without_a_number_is_refused_where_only_some_frames_are_read(tmp_path: Path) -> None:
    frames = Frames(VIDEO.source, VIDEO.names[:4], VIDEO.native_size)
    assert list(masks_by_frame(folder_of(tmp_path, "2.png", "12.png"), frames)) == [2]
    with pytest.raises(ValueError, match=r"overview\.png is for a frame that does not exist"):
        masks_by_frame(folder_of(tmp_path, "overview.png"), frames)


def test_in_a_folder_of_frames_a_mask_has_the_name_of_its_frame(tmp_path: Path) -> None:
    frames = frames_in(tmp_path / "frames", *(f"frame_{number}.png" for number in range(1, 13)))
    folder = folder_of(tmp_path / "masks", "frame_1.png", "Frame_012.PNG")
    assert masks_by_frame(folder, frames) == {0: folder / "frame_1.png", 11: folder / "Frame_012.PNG"}
    for name in ("00003.png", "frame_13.png", "frame_3_mask.png"):
        with pytest.raises(ValueError, match=rf"{name} is for a frame that does not exist: .* has frames frame_1 to frame_12"):
            masks_by_frame(folder_of(tmp_path / name, "frame_1.png", name), frames)


def test_in_a_folder_of_which_the_first_frames_are_read(tmp_path: Path) -> None:
    whole = frames_in(tmp_path / "frames", "a_1.png", "a_2.png", "a_3.png")
    frames = Frames(whole.source, whole.names[:2], whole.native_size)
    assert list(masks_by_frame(folder_of(tmp_path / "masks", "a_1.png", "a_3.png"), frames)) == [0]
    with pytest.raises(ValueError, match=r"a_4\.png is for a frame that does not exist"):
        masks_by_frame(folder_of(tmp_path / "masks", "a_4.png"), frames)


def test_hidden_files_are_no_masks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list(masks_by_frame(folder_of(tmp_path, "0.png", "._0.bin", ".DS_Store"), VIDEO)) == [0]
    (tmp_path / "._0.bin").rename(tmp_path / "._0.png")
    assert list(masks_by_frame(tmp_path, VIDEO)) == [0]
    assert not caplog.records


def test_files_named_like_frames_that_are_no_masks_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(tmp_path, "0.png", "3.jpg", "frame_6.json", "11.webp", "99.jpg", "notes.txt")
    assert list(masks_by_frame(folder, VIDEO)) == [0]
    (record,) = caplog.records
    assert record.message == f"{folder}: 11.webp, 3.jpg, frame_6.json are not used: masks are PNG, BMP or TIFF"
    folder = folder_of(tmp_path / "masks", "a_1.png", "a_2.jpg", "a_9.jpg")
    masks_by_frame(folder, frames_in(tmp_path / "frames", "a_1.png", "a_2.png"))
    assert caplog.records[-1].message == f"{folder}: a_2.jpg is not used: masks are PNG, BMP or TIFF"


def test_no_mask_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no labelled frame: .*empty has no PNG .*; save the mask of the first as 00000\.png"):
        masks_by_frame(folder_of(tmp_path / "empty"), VIDEO)
    with pytest.raises(
        ValueError, match=r"no labelled frame: .* has 00003\.jpg, but masks are PNG, BMP or TIFF, which keep every"
    ):
        masks_by_frame(folder_of(tmp_path / "jpeg", "00003.jpg"), VIDEO)
    folder_of(tmp_path / "export").joinpath("SegmentationClass").mkdir()
    folder_of(tmp_path / "export" / "SegmentationClass", "0.png")
    with pytest.raises(ValueError, match=r"no labelled frame: .*; there are some in .*SegmentationClass: give that folder"):
        masks_by_frame(tmp_path / "export", VIDEO)
