"""The small moving picture, opened again as others open it."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from revseg.output.config import OutputConfig
from revseg.output.frame import OutputFrame
from revseg.output.legend import Legend
from revseg.output.preview import HEIGHT, MOST_FRAMES, preview
from revseg.segmentation.segmenter import Segmented


def write(path: Path, frames: int, size: tuple[int, int] = (40, 60), rate: Fraction | int = 25) -> list[int]:
    """Grey frames, ever brighter; returns the value of each."""
    values = [255 * t // max(1, frames - 1) for t in range(frames)]
    with preview(path, frames, Fraction(rate)) as write_frame:
        for index, value in enumerate(values):
            write_frame(frame(index, np.full((*size, 3), value, np.uint8)))
    return values


def frame(index: int, picture: np.ndarray) -> OutputFrame:
    """A frame without any object."""
    nothing = Segmented(np.zeros(picture.shape[:2], np.uint8), 1.0)
    return OutputFrame(index, "", nothing, OutputConfig(), legend=Legend((1,)), shown=(Fraction(index), picture))


def opened(path: Path) -> list[tuple[float, int]]:
    """(mean, milliseconds) of each frame, as PIL has it."""
    found = []
    with Image.open(path) as image:
        assert image.format == "GIF"
        for number in range(image.n_frames):
            image.seek(number)
            found.append((np.asarray(image.convert("RGB")).mean(), image.info["duration"]))
    return found


@pytest.mark.parametrize(("frames", "step"), [(1, 1), (7, 1), (40, 1), (41, 2), (100, 3)])
def test_evenly_spaced_frames_in_order(tmp_path: Path, frames: int, step: int) -> None:
    values = write(tmp_path / "preview.gif", frames)
    means = [mean for mean, _ in opened(tmp_path / "preview.gif")]
    assert len(means) == len(values[::step]) <= MOST_FRAMES
    assert np.abs(np.array(means) - values[::step]).max() < 4  # 256 colours


@pytest.mark.parametrize(("frames", "rate"), [(30, 25), (100, 25), (75, Fraction(30000, 1001)), (24, 12)])
def test_it_takes_as_long_as_the_video(tmp_path: Path, frames: int, rate: Fraction | int) -> None:
    write(tmp_path / "preview.gif", frames, rate=rate)
    milliseconds = sum(duration for _, duration in opened(tmp_path / "preview.gif"))
    shown = -(-frames // -(-frames // MOST_FRAMES)) * -(-frames // MOST_FRAMES)  # the last of each step is shown in full
    assert milliseconds == pytest.approx(1000 * shown / rate, rel=0.12)  # GIF counts hundredths of a second


def test_no_frame_is_too_short_to_be_shown(tmp_path: Path) -> None:
    """Browsers take less than 2 hundredths of a second for ten times as long."""
    write(tmp_path / "preview.gif", 10, rate=240)
    assert {duration for _, duration in opened(tmp_path / "preview.gif")} == {20}


def test_one_frame_in_an_hour(tmp_path: Path) -> None:
    """The format ends at eleven minutes."""
    write(tmp_path / "preview.gif", 3, rate=Fraction(1, 3600))
    with Image.open(tmp_path / "preview.gif") as image:
        assert (image.n_frames, image.info["duration"]) == (3, 655_350)


def test_ffmpeg_plays_it(tmp_path: Path) -> None:
    values = write(tmp_path / "preview.gif", 80, (360, 640))
    with av.open(str(tmp_path / "preview.gif")) as file:
        frames = list(file.decode(video=0))
    assert len(frames) == 40
    assert (frames[0].width, frames[0].height) == (284, HEIGHT)
    assert frames[-1].time == pytest.approx(39 * 2 / 25, abs=0.02)
    means = [frame.to_ndarray(format="rgb24").mean() for frame in frames]
    assert np.abs(np.array(means) - values[::2]).max() < 4


def test_small_videos_keep_their_size_and_it_runs_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "preview.gif", 3, (41, 63))
    with Image.open(tmp_path / "preview.gif") as image:
        assert image.size == (63, 41)
        assert image.info["loop"] == 0


def test_colours(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :20], picture[:, 40:] = (192, 128, 128), (20, 200, 90)
    with preview(tmp_path / "preview.gif", 1, Fraction(25)) as write_frame:
        write_frame(frame(0, picture))
    with Image.open(tmp_path / "preview.gif") as image:
        found = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - picture).mean() < 3


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "preview.gif").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(tmp_path / "preview.gif", 3)
    assert os.listdir(tmp_path) == ["preview.gif"]
