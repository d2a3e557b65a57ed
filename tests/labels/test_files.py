"""Which files are masks, and what is given for a folder of masks and is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from revseg.labels.dataset import load_own
from revseg.labels.files import check_labels, mask_files, masks_by_name


def test_masks_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10.png", "9.PNG", "011.bmp", "._9.png", "9.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in mask_files(tmp_path)] == ["9.PNG", "10.png", "011.bmp"]
    assert [path.name for path in masks_by_name(tmp_path).values()] == ["9.PNG", "10.png", "011.bmp"]
    (tmp_path / "11.png").touch()
    with pytest.raises(ValueError, match=r"11\.png and .*011\.bmp are masks of one frame: remove one"):
        masks_by_name(tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("labels.7z", r"labels\.7z are an archive that is not read: unpack it, and give the folder, or pack it as zip"),
        ("labels.zip", r"labels\.zip are an archive that is not read"),
        ("labels.tar.gz", r"labels\.tar\.gz are an archive that is not read"),
        ("00000.png", r"00000\.png are a single picture: put it into a folder, named like its frame, and give the folder"),
        ("mask.JPG", r"mask\.JPG are a single picture"),
        ("labels.csv", r"labels\.csv are a text file of no known kind: give COCO, labelme or CVAT, or a folder with a PNG for"),
    ],
)
def test_a_file_in_place_of_a_folder(name: str, sentence: str, tmp_path: Path) -> None:
    """It is refused before the video is decoded: here there is none."""
    path = tmp_path / name
    if Path(name).suffix in (".png", ".JPG"):
        Image.new("L", (4, 3)).save(path)
    else:
        path.write_bytes(b"anything")
    with pytest.raises(ValueError, match=rf"masks .*{sentence}"):
        load_own(tmp_path / "missing.mp4", path, "davis2017")


@pytest.mark.parametrize("folder", [False, True])
def test_labels_of_a_tool_that_cannot_be_read(folder: bool, tmp_path: Path) -> None:
    """They are told before the video is decoded: here there is none."""
    path = tmp_path / "labels" if folder else tmp_path / "coco.json"
    path.mkdir() if folder else None
    (path / "job.json" if folder else path).write_text('{"images": [], "annotations": [')
    with pytest.raises(ValueError, match=rf"{'job' if folder else 'coco'}\.json"):
        load_own(tmp_path / "missing.mp4", path, "davis2017")


def test_what_is_not_there(tmp_path: Path) -> None:
    for name in ("missing", "missing.zip"):
        with pytest.raises(ValueError, match=rf"folder of masks .*{name} does not exist: make it, with a PNG per labelled frame"):
            check_labels(tmp_path / name)


def test_what_holds_labels(tmp_path: Path) -> None:
    check_labels(tmp_path)
    for name in ("labels.npy", "labels.tif"):
        check_labels(shutil.copy(__file__, tmp_path / name))  # by their names; reading them tells what they are
