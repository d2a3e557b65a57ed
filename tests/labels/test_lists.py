"""Lists of sequences as editors and datasets write them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from revseg.labels.lists import read_names


@pytest.mark.parametrize(
    "content",
    [
        b"bear\nmy dog 2\ncamel",
        codecs.BOM_UTF8 + b"bear\r\nmy dog 2\r\ncamel\r\n",
        b"  bear \n\n\tmy dog 2\t\n \ncamel  \nbear\n",
        b"/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n"
        b"JPEGImages/480p/my dog 2/00001.jpg Annotations/480p/my dog 2/00001.png\ncamel/00000.JPG\n",
    ],
)
def test_names_one_a_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    assert read_names(tmp_path / "train.txt") == ["bear", "my dog 2", "camel"]


def test_names_in_any_language(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("größe\n動画\n", encoding="utf-8-sig")
    assert read_names(tmp_path / "train.txt") == ["größe", "動画"]


def test_bad_lists(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes("größe".encode("latin-1"))
    with pytest.raises(ValueError, match=r"list of sequences .*train\.txt is not text in UTF-8: save it as UTF-8, one name on"):
        read_names(path)
    path.write_text("\n  \n")
    with pytest.raises(ValueError, match=r"list of sequences .*train\.txt is empty: write one name on each line"):
        read_names(path)
