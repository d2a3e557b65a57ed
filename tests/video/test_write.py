"""What is written is read back."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest

from revseg.video.read import read_video
from revseg.video.write import VideoWriter


def test_same_pictures(tmp_path, pictures):
    frames = pictures(12)
    with VideoWriter(tmp_path / "new" / "video.mp4", 30) as writer:
        for frame in frames:
            writer.write(frame)
    video = read_video(tmp_path / "new" / "video.mp4")
    assert video.frame_rate == 30
    assert video.native_size == (64, 96)
    assert np.abs(video.volume.permute(1, 2, 3, 0).numpy().astype(float) - frames).mean() < 2


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 64, 0), (255, 255, 255), (0, 0, 0)])
def test_colours(tmp_path, colour):
    with VideoWriter(tmp_path / "video.mp4") as writer:
        writer.write(np.full((32, 32, 3), colour, np.uint8))
    pixels = read_video(tmp_path / "video.mp4").volume[:, 0].numpy().reshape(3, -1).T.astype(int)
    assert np.abs(pixels - colour).max() <= 4


@pytest.mark.parametrize(
    ("size", "pixel_format"),
    [
        ((64, 96), "yuv420p"),
        ((63, 96), "yuv444p"),
        ((64, 97), "yuv444p"),
        ((1, 1), "yuv444p"),
        ((2, 2), "yuv420p"),
    ],
)
def test_any_size(tmp_path, pictures, size, pixel_format):
    path = tmp_path / "video.mp4"
    with VideoWriter(path) as writer:
        for frame in pictures(3, *size):
            writer.write(frame)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", pixel_format)
        assert (stream.height, stream.width) == size
    assert read_video(path).volume.shape == (3, 3, *size)


@pytest.mark.parametrize("rate", [24, 25, 12.5, Fraction(30000, 1001), Fraction(24000, 1001), 120])
def test_constant_rate_is_exact(tmp_path, pictures, rate):
    with VideoWriter(tmp_path / "video.mp4", rate) as writer:
        for frame in pictures(10, 16, 16):
            writer.write(frame)
    video = read_video(tmp_path / "video.mp4")
    assert video.frame_rate == Fraction(rate)
    assert video.timestamps == tuple(i / Fraction(rate) for i in range(10))


def test_variable_rate_is_kept(tmp_path, pictures):
    times = [Fraction(ms, 1000) for ms in (0, 40, 50, 200, 1000, 1001, 5000)]
    with VideoWriter(tmp_path / "video.mp4") as writer:
        for frame, time in zip(pictures(7), times, strict=True):
            writer.write(frame, time)
    assert read_video(tmp_path / "video.mp4").timestamps == tuple(times)


def test_one_frame_an_hour(tmp_path, pictures):
    times = [Fraction(3600 * hour) for hour in range(4)]
    with VideoWriter(tmp_path / "video.mp4", Fraction(1, 3600)) as writer:
        for frame, time in zip(pictures(4), times, strict=True):
            writer.write(frame, time)
    assert read_video(tmp_path / "video.mp4").timestamps == tuple(times)


@pytest.mark.parametrize("ratio", [Fraction(2), Fraction(1, 2), Fraction(16, 11)])
def test_sample_aspect_ratio(tmp_path, pictures, ratio):
    with VideoWriter(tmp_path / "video.mp4", sample_aspect_ratio=ratio) as writer:
        writer.write(pictures(1)[0])
    assert read_video(tmp_path / "video.mp4").sample_aspect_ratio == ratio


def test_equal_times_do_not_stop_it(tmp_path, pictures):
    with VideoWriter(tmp_path / "video.mp4") as writer:
        for frame in pictures(4):
            writer.write(frame, 0)
    assert read_video(tmp_path / "video.mp4").volume.shape[1] == 4


@pytest.mark.parametrize("written", [0, 3])
def test_a_failure_leaves_nothing(tmp_path, pictures, written):
    def write():
        with VideoWriter(tmp_path / "video.mp4") as writer:
            for frame in pictures(3)[:written]:
                writer.write(frame)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert os.listdir(tmp_path) == []


def test_no_frame(tmp_path):
    sentence = r"no frame was written to .*video\.mp4: give at least one"
    with pytest.raises(ValueError, match=sentence), VideoWriter(tmp_path / "video.mp4"):
        pass
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            OSError,
            match=r"^cannot write .*video\.mp4: its folder is a file; .*choose another output folder$",
        ),
        VideoWriter(tmp_path / "file" / "video.mp4"),
    ):
        pass
