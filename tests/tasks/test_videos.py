"""Several videos on a command line: patterns, names of folders, labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from revseg.cli.main import PLAN, PREDICT
from revseg.cli.words import read_words
from revseg.tasks.videos import expanded, folders_of, is_pattern, labels_of
from tests.cli.test_words import translation


def test_patterns_in_the_order_of_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for name in ("take10.mp4", "take2.mp4", "take1.mp4", "odd [1].mp4"):
        (tmp_path / "clips" / name).touch()
    assert [path.name for path in expanded(["clips/take*.mp4"])] == ["take1.mp4", "take2.mp4", "take10.mp4"]
    found = expanded(["clips/take2.mp4", "clips/*", "clips/odd [1].mp4", "missing.mp4"])
    assert [path.name for path in found] == ["take2.mp4", "odd [1].mp4", "take1.mp4", "take10.mp4", "missing.mp4"]
    assert not is_pattern("clips/odd [1].mp4")
    with pytest.raises(ValueError, match=r"no file matches clips/\*\.avi: check the pattern"):
        expanded(["clips/*.avi"])


def test_no_two_videos_have_one_folder(tmp_path: Path) -> None:
    names = ["a/clip.mp4", "b/clip.mp4", "b/other.mp4", "b/clip.avi"]
    assert folders_of([tmp_path / name for name in names]) == ["a-clip", "b-clip.mp4", "other", "b-clip.avi"]
    with pytest.raises(ValueError, match="would go to one folder: segment them by two commands, with output="):
        folders_of([tmp_path / "x" / "a" / "clip.mp4", tmp_path / "y" / "a" / "clip.mp4"])


def test_labels_by_the_name_of_the_video(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.json").touch()
    assert labels_of(Path("a.mp4"), tmp_path, "a") == tmp_path / "a"
    assert labels_of(Path("b.mp4"), tmp_path, "b") == tmp_path / "b.json"
    with pytest.raises(ValueError, match=r"has no folder c, but each of several videos has its labels there: give those of c"):
        labels_of(Path("c.mp4"), tmp_path, "c")
    (tmp_path / "b.zip").touch()
    with pytest.raises(ValueError, match=r"holds b\.json and b\.zip"):
        labels_of(Path("b.mp4"), tmp_path, "b")


def test_several_words_are_a_list() -> None:
    words = ["a b.mp4", "it's, [x] ${y}.mp4", "data.height=24", "--", "-c.mp4"]
    found = translation(PREDICT).overrides(read_words(words))
    assert found[:1] == ["data.height=24"]
    assert found[1].startswith("data.videos=['a b.mp4','it\\'s, [x] ")
    with pytest.raises(ValueError, match=r"did not expect the arguments 'a\.mp4', 'b\.mp4'; give one"):
        translation(PLAN).overrides(read_words(["a.mp4", "b.mp4"]))
