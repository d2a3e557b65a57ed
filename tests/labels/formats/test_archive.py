"""Labels in zip archives, and archives that mean harm."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.labels.formats import archive
from revseg.labels.masks import write_mask
from tests.labels.formats.documents import area, coco, painted, read, square, written


def packed(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is unpacked lies in a folder of its own."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_masks_in_an_archive(tmp_path: Path, nothing_stays: Path) -> None:
    write_mask(tmp_path / "a.png", painted((1, 1, 3, 1)))
    content = (tmp_path / "a.png").read_bytes()
    found = read(
        packed(tmp_path / "masks.zip", **{"my masks/00003.png": content, "my masks/00003.jpg": b"", "__MACOSX/._a.png": b""})
    )
    assert found.frames == (3,)
    assert np.array_equal(found.masks[0], painted((1, 1, 3, 1)))
    assert not list(nothing_stays.iterdir())


def test_a_fault_names_the_archive(tmp_path: Path, nothing_stays: Path) -> None:
    text = written(tmp_path / "a.json", coco(area(9, 1, square(1, 1, 3)))).read_bytes()
    with pytest.raises(ValueError, match=r"labels .*a\.zip/annotations/instances\.json annotate image 9"):
        read(packed(tmp_path / "a.zip", **{"annotations/instances.json": text}))
    assert not list(nothing_stays.iterdir())


@pytest.mark.parametrize("name", ["../out.json", "/tmp/out.json", "a/../../out.json", "C:/out.json", "a\\..\\out.json"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.zip are an archive with the file .*, which leads out of its folder"):
        read(packed(tmp_path / "a.zip", **{name: b"{}"}))
    assert not (tmp_path / "out.json").exists()


def test_an_archive_that_swells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_stays: Path) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    with pytest.raises(ValueError, match=r"a\.zip unpack to more than 0 GiB: split them"):
        read(packed(tmp_path / "a.zip", **{"a.json": b" " * (3 << 20)}))
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    with pytest.raises(ValueError, match=r"a\.zip are an archive of more than 2 files"):
        read(packed(tmp_path / "a.zip", **{f"{i}.json": b"{}" for i in range(3)}))
    assert not list(nothing_stays.iterdir())


def test_damaged_and_encrypted_archives(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", **{"a.json": bytes(range(256)) * 20}).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])
    with pytest.raises(ValueError, match=r"a\.zip are an archive that cannot be unpacked \(.*\): export it again"):
        read(tmp_path / "a.zip")
    locked = bytearray(packed(tmp_path / "b.zip", **{"a.json": b"{}"}).read_bytes())
    locked[6] |= 1  # the flag of encryption, here and in the directory
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(locked)
    with pytest.raises(ValueError, match=r"b\.zip are an archive that cannot be unpacked \(.*encrypted"):
        read(tmp_path / "b.zip")


def test_an_archive_without_labels(tmp_path: Path) -> None:
    Image.new("RGB", (12, 10)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"no labelled frame: .*a\.zip has no PNG for any of the frames"):
        read(packed(tmp_path / "a.zip", **{"images/00001.jpg": (tmp_path / "a.jpg").read_bytes()}))
