"""A video as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from revseg.page.film import ACROSS, DOWN, THUMBNAIL, Film
from revseg.tasks.config import DataConfig
from tests.harm import wait_for


def opened(path: Path, **settings: object) -> Film:
    film = Film(DataConfig(video=str(path), **settings))
    film.open()
    wait_for(lambda: film.complete or bool(film.problem))
    return film


def test_frames_are_those_of_the_video(pictures: Callable, encode: Callable, tmp_path: Path) -> None:
    shown = pictures(70, 64, 96)
    path = encode(tmp_path / "a.mp4", shown)
    with closing(opened(path)) as film:
        assert (film.size, len(film.names), film.names[-1]) == ((64, 96), 70, "00069")
        for index in (0, 33, 69):
            assert np.abs(film.pixels(index)[..., ::-1].astype(int) - shown[index]).mean() < 4
        with pytest.raises(IndexError):
            film.picture(70)
        second = cv2.imdecode(np.frombuffer(film.sheet(1), np.uint8), cv2.IMREAD_COLOR)
        assert second.shape == (DOWN * THUMBNAIL, ACROSS * 81, 3)
        last, black = second[:THUMBNAIL, 5 * 81 : 6 * 81], second[:THUMBNAIL, 6 * 81 :]
        assert np.abs(last[..., ::-1].mean((0, 1)) - shown[69].mean((0, 1))).max() < 4
        assert black.max() < 30


def test_only_a_part(pictures: Callable, encode: Callable, tmp_path: Path) -> None:
    with closing(opened(encode(tmp_path / "a.mp4", pictures(9)), max_frames=4)) as film:
        assert len(film.names) == len(film.features) == 4
    with closing(opened(tmp_path / "a.mp4", start="2", end="8", every="3")) as film:
        assert film.names == ["00002", "00005"]


def test_a_video_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.mp4"):
        opened(tmp_path / "a.mp4")


def test_what_is_there_of_a_truncated_video_can_be_seen(pictures: Callable, encode: Callable, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", pictures(40, 64, 96))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with closing(opened(path)) as film:
        assert 1 <= len(film.names) < 40
        assert "truncated" in film.problem
