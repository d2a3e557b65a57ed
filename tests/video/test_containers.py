"""Healthy files that look damaged, damaged ones that look healthy, and what containers say of their frames."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from revseg.video.crop import Crop
from revseg.video.read import probe, read_video
from revseg.video.reading import Reading
from tests.video.container_edits import add_clean_aperture, add_pixel_crop

FAST = {"preset": "ultrafast"}


def remux(source: Path, target: Path, start: int = 0, shift: Fraction = Fraction(0), **options: str) -> Path:
    """Copies the packets of a video from one on, later by `shift` seconds."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in [packet for packet in old.demux(video=0) if packet.dts is not None][start:]:
            packet.pts += int(shift / packet.time_base)
            packet.dts += int(shift / packet.time_base)
            packet.stream = stream
            new.mux(packet)
    return target


def brightness(path: Path) -> list[float]:
    return read_video(path).volume.float().mean((0, 2, 3)).tolist()


def test_joined_transport_streams_are_whole(tmp_path: Path, pictures: Callable, encode: Callable) -> None:
    """The clock restarts, and the counters of the packets jump."""
    parts = [encode(tmp_path / f"{name}.ts", pictures(12)[::step], options={"bf": "2"}) for name, step in (("a", 1), ("b", -1))]
    parts.append(parts[0])
    (tmp_path / "joined.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    video = read_video(tmp_path / "joined.ts")
    assert video.names == tuple(f"{number:05d}" for number in range(36))
    assert video.timestamps == tuple(Fraction(number, 25) for number in range(36))
    assert np.allclose(brightness(tmp_path / "joined.ts"), [value for part in parts for value in brightness(part)])


def test_a_missing_segment_is_no_damage(tmp_path: Path, pictures: Callable, encode: Callable) -> None:
    whole = encode(tmp_path / "whole.ts", pictures(30), options={"g": "10", "keyint_min": "10", "bf": "0", "sc_threshold": "0"})
    with av.open(str(whole)) as file:
        keys = [packet.pos for packet in file.demux(video=0) if packet.is_keyframe]
    content = whole.read_bytes()
    (tmp_path / "gap.ts").write_bytes(content[: keys[1]] + content[keys[2] :])
    video = read_video(tmp_path / "gap.ts")
    assert video.volume.shape[1] == 20
    assert video.timestamps[10] - video.timestamps[9] == Fraction(11, 25)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_frame_of_a_transport_stream_that_misses_a_part(tmp_path: Path, encode: Callable, codec: str) -> None:
    """FFmpeg marks the frame before it, and H.264 decodes to something without an error."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 64, 96, 3), dtype=np.uint8)
    path = encode(tmp_path / "broken.ts", noise, codec, options={"bf": "0", "g": "1"})
    with av.open(str(path)) as file:
        start = [packet.pos for packet in file.demux(video=0) if packet.size][5]
    content = path.read_bytes()
    path.write_bytes(content[: start + 188] + content[start + 2 * 188 :])
    video = read_video(path, reading=Reading(on_error="skip"))
    assert video.lost == ("00005",)
    assert video.names == tuple(f"{number:05d}" for number in range(12) if number != 5)
    with pytest.raises(ValueError, match=r"frame 00005 of .*broken\.ts cannot be decoded"):
        read_video(path)


def test_a_recording_that_begins_between_key_frames(tmp_path: Path, pictures: Callable, encode: Callable) -> None:
    options = {"g": "10", "keyint_min": "10", "sc_threshold": "0", "bf": "2"}
    whole = encode(tmp_path / "whole.ts", pictures(30), options=options)
    with av.open(str(whole)) as file:
        middle = [packet.pos for packet in file.demux(video=0) if packet.size][5]
    (tmp_path / "tuned_in.ts").write_bytes(whole.read_bytes()[middle:])
    video = read_video(tmp_path / "tuned_in.ts")
    assert (video.volume.shape[1], video.names[0], video.lost) == (20, "00000", ())


@pytest.mark.parametrize("rate", [1, Fraction(1, 10)])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_few_frames_a_second(tmp_path: Path, pictures: Callable, encode: Callable, rate: Fraction, suffix: str) -> None:
    video = read_video(encode(tmp_path / f"slow.{suffix}", pictures(4), rate=rate))
    assert video.timestamps == tuple(number / Fraction(rate) for number in range(4))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_late_start(tmp_path: Path, pictures: Callable, encode: Callable, suffix: str) -> None:
    source = encode(tmp_path / "source.mp4", pictures(12))
    video = read_video(remux(source, tmp_path / f"late.{suffix}", shift=Fraction(100)))
    assert video.timestamps == tuple(Fraction(number, 25) for number in range(12))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_cut_by_stream_copy(tmp_path: Path, pictures: Callable, encode: Callable, suffix: str) -> None:
    """From a key frame on; its times begin before zero, so that MP4 hides the first frames."""
    options = {"g": "6", "keyint_min": "6", "sc_threshold": "0", "bf": "2"}
    source = encode(tmp_path / "source.mp4", pictures(30), options=options)
    path = remux(source, tmp_path / f"cut.{suffix}", start=6, shift=Fraction(-12, 25), avoid_negative_ts="disabled")
    video = read_video(path)
    assert video.lost == ()
    assert 18 <= video.volume.shape[1] <= 24
    assert np.allclose(np.diff([float(time) for time in video.timestamps]), 0.04, atol=0.002)


def test_the_stream_that_the_ffmpeg_command_takes(tmp_path: Path, pictures: Callable) -> None:
    """The largest, not the first; a default one before it."""

    def write(path: Path, default: int | None) -> Path:
        with av.open(str(path), "w") as file:
            streams = []
            for height, width in ((32, 48), (64, 96)):
                stream = file.add_stream("libx264", rate=25, options=FAST)
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
                streams.append(stream)
            if default is not None:
                streams[default].disposition = Disposition.default
            for stream in streams:
                for pixels in pictures(3, stream.height, stream.width):
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
                file.mux(stream.encode())
        return path

    assert read_video(write(tmp_path / "preview.mkv", None)).native_size == (64, 96)
    assert probe(write(tmp_path / "default.mkv", 0)).native_size == (32, 48)


@pytest.mark.parametrize("rotation", [None, 90])
def test_sample_aspect_ratio(tmp_path: Path, pictures: Callable, rotation: int | None) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options=FAST)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for pixels in pictures(2):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(stream.encode())
    expected = Fraction(2) if rotation is None else Fraction(1, 2)
    assert read_video(path).sample_aspect_ratio == probe(path).sample_aspect_ratio == expected


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_crop_of_the_container(tmp_path: Path, pictures: Callable, encode: Callable, suffix: str) -> None:
    crop, frames = Crop(10, 4, right=6, bottom=12), pictures(3)
    path = encode(
        tmp_path / f"cropped.{suffix}", frames, options={"crf": "1"}, container={"live": "1"} if suffix == "mkv" else {}
    )
    if suffix == "mkv":
        add_pixel_crop(path, crop)
    else:
        add_clean_aperture(path, (64, 96), crop)
    video = read_video(path)
    assert video.native_size == (48, 80)
    assert np.abs(video.volume.permute(1, 2, 3, 0).numpy().astype(float) - frames[:, 4:52, 10:90]).mean() < 4


@pytest.mark.parametrize("size", [(400, 4), (4, 400), (2, 2)])
def test_strips(tmp_path: Path, pictures: Callable, encode: Callable, size: tuple[int, int]) -> None:
    path = encode(tmp_path / "strip.mkv", pictures(3, *size), "ffv1", "yuv420p")
    assert read_video(path).native_size == size
    lines, columns = read_video(path, height=96).volume.shape[2:]
    assert max(lines, columns) <= 800  # and not the 96 x 9600 that keep the shape of 4 x 400


def test_a_single_frame(tmp_path: Path, pictures: Callable, encode: Callable) -> None:
    assert read_video(encode(tmp_path / "one.mp4", pictures(1))).timestamps == (0,)
