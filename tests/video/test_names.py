"""The order of frames by their names, and names that leave it open."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from revseg.video.names import identity, ordered

ONE_CLEAR_ORDER = {
    "numbers": ["8.png", "9.png", "10.png"],
    "numbers of several widths": ["007.png", "8.png", "0010.png"],
    "numbers inside": [f"frame_{number}.png" for number in range(1, 13)],
    "numbers in brackets": [f"img ({number}).png" for number in range(1, 13)],
    "upper and lower case": ["IMG_9.JPG", "img_10.jpg", "Img_11.jpeg"],
    "a counter that grows a digit": ["DSC_9998.jpg", "DSC_9999.jpg", "DSC_10000.jpg", "DSC_10001.jpg"],
    "every hundredth frame, one missing": [f"{number:04d}.png" for number in range(0, 10000, 100) if number != 300],
    "a part missing": [f"{number:05d}.png" for number in (*range(40), *range(60, 100))],
    "the whole range of a counter": [f"{number:03d}.png" for number in range(1000)],
    "a number that stays": [f"clip2_{number}_1080p.png" for number in (9, 10, 11)],
    "two numbers that agree": ["f1_t9.png", "f2_t10.png", "f10_t200.png"],
    "date and time": [f"2024-01-05_10-{30 + second // 60}-{second % 60:02d}.png" for second in range(55, 65)],
    "time with microseconds": ["20240105_103001_900000.png", "20240105_103002_100000.png", "20240105_103003_500000.png"],
    "midnight": ["PXL_20240105_235959123.jpg", "PXL_20240106_000001002.jpg"],
    "seconds with as many digits": ["1305031102.900000.png", "1305031103.100000.png"],
    "parts that are counted": [f"s2.{number}.png" for number in range(8, 13)],
    "scenes": ["scene1_0001.png", "scene1_0002.png", "scene2_0003.png"],
    "one file": ["cover.png"],
}


@pytest.mark.parametrize("names", ONE_CLEAR_ORDER.values(), ids=ONE_CLEAR_ORDER.keys())
def test_numbers_inside_names_count_as_numbers(names: list[str], caplog: pytest.LogCaptureFixture) -> None:
    files = [Path("frames", name) for name in names]
    shuffled = random.Random(0).sample(files, len(files))
    assert ordered(shuffled) == files
    assert not caplog.records


UNCLEAR = {
    "a stray image": (["cover.jpg", "00000.jpg", "00001.jpg"], r"cover\.jpg is named otherwise than 00000\.jpg"),
    "a number in brackets and none": (["img.png", "img (1).png", "img (2).png"], r"img\.png is named otherwise than img \(1\)"),
    "two kinds": (["left_1.png", "left_2.png", "right_1.png", "right_2.png"], r"right_1\.png is named otherwise than left_1"),
    "two zeros": (["frame_1.png", "frame_01.png"], r"frame_01\.png and frame_1\.png are the same frame twice: remove one"),
    "two suffixes": (["1.png", "1.jpg"], r"1\.jpg and 1\.png are the same frame twice: remove one"),
    "two cases": (["A1.png", "a1.png"], r"A1\.png and a1\.png are the same frame twice"),
    "two ways to write ü": (["fru\u0308h 1.png", "fr\u00fch 1.png"], r"are the same frame twice"),
    "a counter that began anew": (
        ["IMG_9998.jpg", "IMG_9999.jpg", "IMG_0001.jpg", "IMG_0002.jpg"],
        r"a camera goes on after IMG_9999\.jpg with IMG_0001\.jpg: if it did, rename IMG_0001\.jpg to IMG_0002\.jpg with greater",
    ),
    "from 0": (["IMG_9999.jpg", "IMG_0000.jpg"], r"goes on after IMG_9999\.jpg with IMG_0000\.jpg"),
    "with gaps": (["IMG_9990.jpg", "IMG_9995.jpg", "IMG_0004.jpg"], r"goes on after IMG_9995\.jpg with IMG_0004\.jpg"),
    "three digits": (["a998.png", "a999.png", "a000.png"], r"goes on after a999\.png with a000\.png"),
    "four of five digits": (["DSC09998.jpg", "DSC09999.jpg", "DSC00001.jpg"], r"goes on after DSC09999\.jpg with DSC00001\.jpg"),
    "two numbers against each other": (["f1_t20.png", "f2_t10.png"], r"each name has two numbers and they contradict"),
    "takes": (["take2_1.png", "take2_2.png", "take1_3.png", "take1_4.png"], r"two numbers and they contradict: leave the one"),
    "a random number first": (["84_0001.png", "12_0002.png", "50_0003.png"], r"two numbers and they contradict"),
    "fractions": (["t0.5.png", "t0.25.png"], r"1\.25 may come before or after 1\.5: give all fractions as many digits"),
    "fractions with zeros": (["t0.05.png", "t0.5.png"], r"give all fractions as many digits"),
}


@pytest.mark.parametrize(("names", "sentence"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_an_order_that_is_not_clear_is_refused(names: list[str], sentence: str) -> None:
    for some in (names, names[::-1]):
        with pytest.raises(ValueError, match=sentence):
            ordered(Path("frames", name) for name in some)


def test_an_order_by_several_numbers_or_none_is_told_once(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """The second number says nothing of the order, or belongs to several videos."""
    for folder, names in (
        ("score", ["0001_84.png", "0002_12.png", "0003_50.png"]),
        ("cams", ["cam1_1.png", "cam1_2.png", "cam2_1.png", "cam2_2.png"]),
        ("words", ["view a.png", "view b.png"]),
    ):
        files = [tmp_path / folder / name for name in names]
        for _ in range(2):
            assert ordered(files[::-1]) == files
    first, second, third = caplog.records
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert "score have several numbers: frames are ordered by the first" in first.message
    assert "cams have several numbers" in second.message
    assert "words have no number: frames are taken by the alphabet, view a.png, view b.png" in third.message


def test_identity() -> None:
    assert identity("Frame_007") == identity("frame_7") == ("frame_", 7, "")
    assert identity("frame_7") != identity("frame_70")
