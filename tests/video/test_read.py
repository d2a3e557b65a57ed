"""Real files of many kinds, and everything that can be wrong with them."""

import io
import shutil
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from revseg.video import read as video_module
from revseg.video.read import iterate_frames, probe, read_video
from revseg.video.reading import Reading
from revseg.video.write import VideoWriter

QUIET = {"x265-params": "log-level=none"}
FASTSTART = {"movflags": "+faststart"}


def as_frames(volume):
    return volume.permute(1, 2, 3, 0).numpy()


def difference(volume, frames):
    assert as_frames(volume).shape == frames.shape
    return np.abs(as_frames(volume).astype(float) - frames).mean()


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options"),
    [
        ("h264.mp4", "libx264", "yuv420p", {}),
        ("h264.mkv", "libx264", "yuv420p", {}),
        ("h264.ts", "libx264", "yuv420p", {}),
        ("h264-10-bit.mp4", "libx264", "yuv420p10le", {}),
        ("hevc.mp4", "libx265", "yuv420p", QUIET),
        ("hevc-10-bit.mp4", "libx265", "yuv420p10le", QUIET),
        ("vp9.webm", "libvpx-vp9", "yuv420p", {}),
        ("av1.mp4", "libsvtav1", "yuv420p", {"svtav1-params": "preset=12"}),
        ("mjpeg.avi", "mjpeg", "yuvj420p", {}),
        ("mjpeg.mov", "mjpeg", "yuvj444p", {}),
        ("prores.mov", "prores_ks", "yuv422p10le", {}),
        ("ffv1.mkv", "ffv1", "gbrp10le", {}),
        ("mpeg4.avi", "mpeg4", "yuv420p", {}),
        ("animation.gif", "gif", "rgb8", {}),
    ],
)
def test_codecs_and_containers(tmp_path, pictures, encode, name, codec, pixel_format, options):
    frames = pictures()
    path = encode(tmp_path / name, frames, codec, pixel_format, options=options)
    video = read_video(path)
    assert video.volume.dtype == torch.uint8
    assert difference(video.volume, frames) < (20 if name.endswith("gif") else 6)
    assert video.native_size == (64, 96)
    assert video.frame_rate == 25
    assert video.timestamps == tuple(Fraction(i, 25) for i in range(12))
    assert video.names[:2] == ("00000", "00001")
    assert video.lost == ()


@pytest.mark.parametrize("size", [(61, 97), (64, 97), (61, 96), (3, 2), (1, 1)])
def test_odd_sizes(tmp_path, pictures, encode, size):
    frames = pictures(5, *size)
    video = read_video(encode(tmp_path / "odd.mp4", frames, pixel_format="yuv444p", options={"crf": "1"}))
    assert difference(video.volume, frames) < 6


def test_frames_are_counted_by_decoding(tmp_path, pictures, encode):
    """A raw stream has no header, no index and no times."""
    video = read_video(encode(tmp_path / "raw.h264", pictures(17)))
    assert video.volume.shape == (3, 17, 64, 96)
    assert video.timestamps == tuple(sorted(set(video.timestamps)))


def test_a_header_that_lies_about_the_number_of_frames(tmp_path, pictures, encode):
    path = encode(tmp_path / "lies.avi", pictures(9), "mjpeg", "yuvj420p")
    content = path.read_bytes()
    true, false = (number.to_bytes(4, "little") for number in (9, 500))
    main, stream = content.index(b"avih") + 8 + 16, content.index(b"strh") + 8 + 32
    for at in (main, stream):
        assert content[at : at + 4] == true
        content = content[:at] + false + content[at + 4 :]
    path.write_bytes(content)
    assert read_video(path).volume.shape[1] == 9


def test_resized_while_decoding(tmp_path, pictures, encode):
    frames = pictures(6, 64, 96)
    video = read_video(encode(tmp_path / "large.mp4", frames), height=16)
    assert video.native_size == (64, 96)
    averaged = frames.reshape(6, 16, 4, 24, 4, 3).mean(axis=(2, 4))
    assert difference(video.volume, averaged) < 4


def test_resizing_averages(tmp_path, encode):
    """Every second column is white: picking pixels instead of averaging would give stripes or a flat colour."""
    frames = np.zeros((2, 64, 96, 3), np.uint8)
    frames[:, :, ::2] = 254
    path = encode(tmp_path / "stripes.mkv", frames, "ffv1", "bgr0")
    assert difference(read_video(path, height=16).volume, np.full((2, 16, 24, 3), 127)) < 3


@pytest.mark.parametrize(("height", "width"), [(1, 2), (7, 10), (33, 50), (128, 192)])
def test_width_follows_the_height(tmp_path, pictures, encode, height, width):
    path = encode(tmp_path / "video.mp4", pictures(2))
    assert read_video(path, height=height).volume.shape == (3, 2, height, width)


@pytest.mark.parametrize("rotation", [90, 180, 270, -90])
@pytest.mark.parametrize("height", [None, 24])
def test_rotation_metadata(tmp_path, pictures, encode, rotation, height):
    """FFmpeg's angle turns the coded picture counterclockwise, as numpy's does."""
    frames = pictures(3)
    upright = np.rot90(frames, rotation // 90, axes=(1, 2))
    path = encode(tmp_path / "phone.mp4", frames, rotation=rotation)
    video = read_video(path, height=height)
    assert video.native_size == upright.shape[1:3] == probe(path).native_size
    if height is None:
        assert difference(video.volume, upright) < 6
        assert [pixels.shape for _, _, pixels in iterate_frames(path)] == [upright.shape[1:]] * 3
    else:
        turned = upright.shape[1] > upright.shape[2]
        assert video.volume.shape == (3, 3, 24, 16 if turned else 36)
        small = as_frames(video.volume)[0].astype(float)
        assert (
            np.sign(small[0, 0, :2] - small[-1, -1, :2]).tolist()
            == np.sign(upright[0, 0, 0, :2].astype(float) - upright[0, -1, -1, :2]).tolist()
        )


def test_mirrored_display_matrix(tmp_path, pictures, encode):
    frames = pictures(2)
    path = tmp_path / "mirrored.mp4"
    source = encode(tmp_path / "plain.mp4", frames)
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.set_display_rotation(0, hflip=True)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert difference(read_video(path).volume, frames[:, :, ::-1]) < 6


def test_variable_frame_rate(tmp_path, pictures, encode):
    milliseconds = [0, 40, 50, 200, 1000, 1001]
    path = encode(tmp_path / "phone.mkv", pictures(6), times=[time + 7 for time in milliseconds])
    times = tuple(Fraction(time, 1000) for time in milliseconds)
    assert read_video(path).timestamps == times
    assert tuple(time for _, time, _ in iterate_frames(path)) == times


def test_only_the_first_frames(tmp_path, pictures, encode):
    path = encode(tmp_path / "video.mp4", pictures(12))
    whole, part = read_video(path), read_video(path, reading=Reading(max_frames=5))
    assert torch.equal(part.volume, whole.volume[:, :5])
    assert part.names == whole.names[:5]
    assert read_video(path, reading=Reading(max_frames=100)).volume.shape[1] == 12


def test_nonsense_settings(tmp_path, pictures, encode):
    path = encode(tmp_path / "video.mp4", pictures(2))
    with pytest.raises(ValueError, match="height is 0: give 1 or more"):
        read_video(path, height=0)
    with pytest.raises(ValueError, match=r"data\.max_frames is 0; give a positive number"):
        Reading(max_frames=0)
    with pytest.raises(ValueError, match=r"data\.on_error is continue; choose stop or skip"):
        Reading(on_error="continue")


def test_chunks_make_the_same_volume(tmp_path, pictures, encode, monkeypatch):
    path = encode(tmp_path / "video.mp4", pictures(12))
    whole = read_video(path).volume
    monkeypatch.setattr(video_module, "CHUNK", 5 * 64 * 96 * 3)
    assert torch.equal(read_video(path).volume, whole)
    assert whole.is_contiguous()


@pytest.mark.slow
def test_memory_of_a_large_video(tmp_path, encode):
    """40 frames of 3840 x 2160 are 1 GB as RGB; resized while decoding, only a few exist at a time."""
    path = encode(tmp_path / "4k.mp4", np.zeros((40, 2160, 3840, 3), np.uint8), options={"preset": "ultrafast"})
    program = (
        "import resource, sys; from revseg.video.read import read_video\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before = peak(); video = read_video(sys.argv[1], height=48, threads=2)\n"
        "assert video.volume.shape == (3, 40, 48, 85); print(peak() - before)"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 400  # MB; about 200 are the decoder's


@pytest.mark.parametrize(
    "name",
    [
        "a b.mp4",
        "a=b,c.mp4",
        'it\'s "x".mp4',
        "größe-видео-動画.mp4",
        "a:b.mp4",
        "100%d.mp4",
        "-i.mp4",
        "[x]{y}.mp4",
    ],
)
def test_file_names(tmp_path, pictures, encode, name, monkeypatch):
    shutil.copy(encode(tmp_path / "plain.mp4", pictures(3)), tmp_path / name)
    monkeypatch.chdir(tmp_path)  # relative: FFmpeg takes a name that starts with "a:" for a protocol
    assert read_video(name).volume.shape[1] == 3
    with VideoWriter(name) as writer:
        writer.write(pictures(1)[0])
    assert read_video(name).volume.shape[1] == 1


# Bad files


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"video .*nothing\.mp4 does not exist: check the path"):
        read_video(tmp_path / "nothing.mp4")


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match=r"empty\.mp4 is empty: get a whole copy"):
        read_video(tmp_path / "empty.mp4")


@pytest.mark.parametrize("name", ["notes.mp4", "notes.txt", "notes"])
def test_text_file(tmp_path, name):
    """FFmpeg would show notes.txt as a video of its text."""
    (tmp_path / name).write_text("not a video\n" * 200)
    with pytest.raises(ValueError, match=rf"{name} is (a text file, not|not) a video.*: (get|give) a"):
        read_video(tmp_path / name)


def test_a_playlist_opens_no_connection(tmp_path):
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(ValueError, match=r"list\.m3u8"):
        read_video(tmp_path / "list.m3u8")


def test_sound_only(tmp_path):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    (tmp_path / "sound.wav").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"sound\.wav has no video stream: give a file with pictures"):
        read_video(tmp_path / "sound.wav")


def test_no_frame(tmp_path):
    path = tmp_path / "nothing.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        file.start_encoding()
    for read in (read_video, probe):
        with pytest.raises(ValueError, match=r"nothing\.mkv.*"):
            read(path)


@pytest.mark.parametrize("container", [{}, FASTSTART])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_mp4(tmp_path, pictures, encode, container, share):
    """Its index is at its end, or, with faststart, at its beginning."""
    path = encode(tmp_path / "cut.mp4", pictures(30), container=container, options={"crf": "1"})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.mp4.*truncated.*: get a whole copy"):
        read_video(path)


def test_truncated_matroska(tmp_path, pictures, encode):
    path = encode(tmp_path / "cut.mkv", pictures(100), options={"g": "5"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cut\.mkv is truncated, its video ends after .* s: get a whole copy"):
        read_video(path)
    assert 0 < read_video(path, reading=Reading(on_error="skip")).volume.shape[1] < 100


def test_truncated_avi(tmp_path, pictures, encode):
    path = encode(tmp_path / "cut.avi", pictures(20), "mjpeg", "yuvj420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"frame \d{5} of .*cut\.avi cannot be decoded"):
        read_video(path)
    assert 0 < read_video(path, reading=Reading(on_error="skip")).volume.shape[1] < 20


@pytest.mark.parametrize(
    ("codec", "options"),
    [("libx264", {"bf": "0"}), ("libx264", {"bf": "3", "b-pyramid": "normal"}), ("libx265", QUIET)],
)
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("broken", [1, 13, 22])
def test_broken_frame_in_the_middle(tmp_path, pictures, encode, break_packet, codec, options, threads, broken, caplog):
    frames = pictures(30)
    path = encode(tmp_path / "broken.mp4", frames, codec, options={**options, "g": "6", "keyint": "6", "crf": "1"})
    break_packet(path, broken)
    video = read_video(path, threads=threads, reading=Reading(on_error="skip"))
    assert f"{broken:05d}" in video.lost  # and with it those that are predicted from it
    assert len(video.lost) <= 5
    sentence = rf"frame {video.lost[0]} of .*broken\.mp4 cannot be decoded: get a whole copy, or set data.on_error=skip"
    with pytest.raises(ValueError, match=sentence):
        read_video(path, threads=threads)
    assert f"{path}: left out what cannot be decoded, frame {', '.join(video.lost)}" in caplog.text
    assert set(video.lost).isdisjoint(video.names)
    assert sorted((*video.names, *video.lost)) == [f"{i:05d}" for i in range(30)]
    kept = [int(name) for name in video.names]
    assert np.abs(as_frames(video.volume)[-3:].astype(float) - frames[kept][-3:]).mean() < 6
    assert len(list(iterate_frames(path, reading=Reading(on_error="skip")))) == len(kept)


# Folders of images


def write_images(folder: Path, frames, suffix=".png", start=0):
    folder.mkdir()
    for index, pixels in enumerate(frames, start):
        Image.fromarray(pixels).save(folder / f"{index:05d}{suffix}", quality=95)
    return folder


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
@pytest.mark.parametrize("threads", [1, 3])
def test_folder(tmp_path, pictures, suffix, threads):
    frames = pictures(12)
    folder = write_images(tmp_path / "frames", frames, suffix)
    video = read_video(folder, threads=threads)
    assert difference(video.volume, frames) < (0.01 if suffix == ".png" else 3)
    assert video.frame_rate == 24
    assert video.timestamps[:2] == (0, Fraction(1, 24))
    small = read_video(folder, height=16, reading=Reading(max_frames=4))
    assert small.native_size == (64, 96)
    assert difference(small.volume, frames[:4].reshape(4, 16, 4, 24, 4, 3).mean(axis=(2, 4))) < 3


def test_folder_in_the_order_of_its_numbers(tmp_path, pictures):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, pixels in zip((9, 10, 100), pictures(3), strict=True):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "notes.txt").touch()
    video = read_video(folder)
    assert video.names == ("9", "10", "100")
    assert video.volume[2].float().mean((1, 2)).diff().min() > 0


def test_folder_turned_upright(tmp_path, pictures):
    pixels = pictures(1)[0]
    (tmp_path / "frames").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    Image.fromarray(pixels).save(tmp_path / "frames" / "0.jpg", quality=95, exif=exif)
    video = read_video(tmp_path / "frames")
    assert video.native_size == (96, 64)
    assert difference(video.volume, np.rot90(pixels, -1)[None]) < 3
    assert read_video(tmp_path / "frames", height=48).volume.shape == (3, 1, 48, 32)


def test_folder_without_frames(tmp_path):
    with pytest.raises(ValueError, match="has no frame: put JPEG or PNG images in it"):
        read_video(tmp_path)


def test_folder_of_two_sizes(tmp_path, pictures):
    folder = write_images(tmp_path / "frames", pictures(3))
    write_images(tmp_path / "more", pictures(1, 32, 32), start=3)
    (tmp_path / "more" / "00003.png").rename(folder / "00003.png")
    with pytest.raises(ValueError, match=r"00003\.png is 32 x 32 pixels, but those before it are 96 x 64: give"):
        read_video(folder)


def test_folder_with_a_frame_twice(tmp_path, pictures):
    folder = write_images(tmp_path / "frames", pictures(2))
    Image.fromarray(pictures(1)[0]).save(folder / "00001.jpg")
    with pytest.raises(ValueError, match=r"00001\.jpg and 00001\.png are the same frame twice: remove one"):
        read_video(folder)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("content", [b"", b"text", "half"])
def test_folder_with_a_broken_frame(tmp_path, pictures, suffix, content):
    folder = write_images(tmp_path / "frames", pictures(6), suffix)
    broken = folder / f"00003{suffix}"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2] if content == "half" else content)
    with pytest.raises(
        ValueError, match="frame 00003 of .*frames cannot be decoded: get a whole copy, or set data.on_error=skip"
    ):
        read_video(folder)
    video = read_video(folder, reading=Reading(on_error="skip"))
    assert video.names == ("00000", "00001", "00002", "00004", "00005")
    assert video.lost == ("00003",)
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no frame of .*frames can be decoded: give a video with at least one frame"):
        read_video(folder, reading=Reading(on_error="skip"))


def test_real_sequence(clip_root):
    folder = clip_root / "JPEGImages" / "480p" / "barrel"
    video = read_video(folder, height=48, reading=Reading(max_frames=3))
    assert video.volume.shape == (3, 3, 48, 85)
    assert video.native_size == probe(folder).native_size == (144, 256)
    with Image.open(folder / "00002.jpg") as image:
        expected = np.asarray(image.resize((85, 48), Image.Resampling.BOX))
    assert difference(video.volume[:, 2:], expected[None]) < 2.5
