"""The sound of a video comes along: copied or encoded, cut to the frames, in a process of its own."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from revseg.video.decoder import open_sound
from revseg.video.encoding import H264, VP9_ALPHA, Encoding
from revseg.video.sound import read_sound
from revseg.video.write import VideoWriter
from tests.film_with_sound import RATE, heard, probed, tone, write_film


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def copied(path: Path, to: Path, frames: np.ndarray, *, begins: Fraction = Fraction(0), encoding: Encoding = H264) -> VideoWriter:
    """The video written anew, with its sound from some time on."""
    sound = open_sound(path, encoding.sound, begins, decoder="inline")
    with VideoWriter(to, 25, encoding=encoding, sound=sound, begins=begins) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


@pytest.mark.parametrize(("codec", "suffix"), [("aac", "mp4"), ("libmp3lame", "mkv"), ("libopus", "mkv")])
def test_what_the_container_takes_is_copied(codec: str, suffix: str, tmp_path: Path, pictures: Callable) -> None:
    path = write_film(tmp_path / f"video.{suffix}", pictures(25), codec)
    copied(path, tmp_path / "out.mp4", pictures(25))
    before, after = packets(path), packets(tmp_path / "out.mp4")
    first = before.index(after[0])
    assert after == before[first : first + len(after)]
    assert first <= 1  # a packet that ends before the first frame is left out
    assert len(after) >= len(before) - 4  # and those that begin after the last one, of the encoder's delay


@pytest.mark.parametrize(("codec", "suffix"), [("pcm_s16le", "mkv"), ("mp2", "ts")])
def test_other_codecs_become_aac(codec: str, suffix: str, tmp_path: Path, pictures: Callable) -> None:
    path = write_film(tmp_path / f"video.{suffix}", pictures(25), codec)
    copied(path, tmp_path / "out.mp4", pictures(25))
    found = probed(tmp_path / "out.mp4")
    assert (found["audio"]["codec_name"], found["audio"]["sample_rate"]) == ("aac", str(RATE))
    assert same_sound(heard(tmp_path / "out.mp4"), tone(1))


def same_sound(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether it is as loud at the same times: to a fortieth of a second."""
    step = RATE // 40
    count = min(len(found), len(expected)) // step
    assert count >= len(expected) // step - 3
    loudness = [np.sqrt((part[: count * step].reshape(-1, step) ** 2).mean(1)) for part in (found, expected)]
    return bool(np.abs(loudness[0] - loudness[1])[1:-1].max() < 0.03)


def test_the_sound_is_cut_to_the_frames(tmp_path: Path, pictures: Callable) -> None:
    """Half a second to a second and a half of two."""
    path = write_film(tmp_path / "video.mp4", pictures(50), "aac")
    writer = copied(path, tmp_path / "out.mp4", pictures(25), begins=Fraction(1, 2))
    assert writer.track is not None
    assert writer.track.problem is None
    found = probed(tmp_path / "out.mp4")
    assert float(found["video"]["start_time"]) == 0
    assert abs(float(found["audio"]["duration"]) - 1) < 0.06
    assert same_sound(heard(tmp_path / "out.mp4"), tone(1.5)[RATE // 2 :])


def test_a_late_start_of_the_pictures_is_heeded(tmp_path: Path, pictures: Callable) -> None:
    """A transport stream, whose clock begins with 1.4 seconds."""
    path = write_film(tmp_path / "video.ts", pictures(25), "aac")
    sound = read_sound(path, ("aac",), Fraction(0))
    assert sound is not None
    assert abs(next(sound.packets).time) < Fraction(1, 20)
    copied(path, tmp_path / "out.mp4", pictures(25))
    assert same_sound(heard(tmp_path / "out.mp4"), tone(1))


def test_webm_takes_opus(tmp_path: Path, pictures: Callable) -> None:
    path = write_film(tmp_path / "video.mp4", pictures(25), "aac")
    frames = np.dstack([pictures(1)[0], np.full((64, 96), 255, np.uint8)])[None].repeat(25, 0)
    copied(path, tmp_path / "out.webm", frames, encoding=VP9_ALPHA)
    found = probed(tmp_path / "out.webm")
    assert (found["audio"]["codec_name"], found["video"]["codec_name"]) == ("opus", "vp9")
    assert float(found["video"]["start_time"]) == 0
    assert same_sound(heard(tmp_path / "out.webm"), tone(1))


def test_a_process_of_its_own_gives_the_same(tmp_path: Path, pictures: Callable) -> None:
    path = write_film(tmp_path / "video.mkv", pictures(25), "pcm_s16le")
    one, other = (open_sound(path, ("aac",), Fraction(1, 4), decoder=decoder) for decoder in ("inline", "process"))
    assert one is not None
    assert other is not None
    assert one.header == other.header
    assert list(one.packets) == list(other.packets)


def test_none_where_there_is_none(tmp_path: Path, pictures: Callable, encode: Callable) -> None:
    assert open_sound(encode(tmp_path / "silent.mp4", pictures(3)), ("aac",), Fraction(0), decoder="process") is None
    path = write_film(tmp_path / "video.mp4", pictures(25), "aac", seconds=0.5)
    assert open_sound(path, ("aac",), Fraction(4, 5), decoder="process") is None


def test_sound_that_breaks_off(tmp_path: Path, pictures: Callable) -> None:
    """The second half is of a clock that begins anew, as where two recordings were joined: the first half is there."""
    path = write_film(tmp_path / "video.ts", pictures(25), "aac")
    path.write_bytes(2 * path.read_bytes())
    writer = copied(path, tmp_path / "out.mp4", pictures(50))
    assert writer.track is not None
    assert writer.track.problem is not None
    assert "the sound of" in writer.track.problem
    assert 0.8 < writer.track.until < 1.1
