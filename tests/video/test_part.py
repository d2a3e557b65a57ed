"""Parts of videos: the same frames, with the same names and times, as in the whole video."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.video import file as file_module
from revseg.video import process
from revseg.video.part import Part, moment
from revseg.video.read import Video, read_video
from revseg.video.reading import Reading

FRAMES = 60


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """Frames that all differ, so that a wrong reference shows."""
    random = np.random.default_rng(0)
    base = random.integers(0, 200, (64, 80, 3))
    return np.stack([np.roll(base, 2 * index, axis=1) // 2 + index for index in range(FRAMES)]).astype(np.uint8)


def written(kind: str, folder: Path, frames: np.ndarray, encode: Callable[..., Path]) -> Path:
    gop = {"g": "10", "bf": "3"}
    if kind == "h264":
        return encode(folder / "a.mp4", frames, options=gop)
    if kind == "open":
        return encode(folder / "a.mp4", frames, options={**gop, "x264-params": "open-gop=1:bframes=3:b-adapt=0"})
    if kind == "refresh":
        return encode(folder / "a.mp4", frames, options={"g": "10", "x264-params": "intra-refresh=1:bframes=0:scenecut=0"})
    if kind == "hevc":
        x265 = {"x265-params": "keyint=10:min-keyint=5:open-gop=1:log-level=none"}
        return encode(folder / "a.mp4", frames, "libx265", options=x265)
    if kind == "prores":
        return encode(folder / "a.mov", frames, "prores_ks", "yuv422p10le")
    if kind == "mkv":
        return encode(folder / "a.mkv", frames, options=gop)
    if kind == "vp9":
        return encode(folder / "a.webm", frames, "libvpx-vp9", options={"g": "10", "deadline": "realtime", "cpu-used": "8"})
    if kind == "ts":
        return encode(folder / "a.ts", frames, options=gop)
    if kind == "varying":
        return encode(folder / "a.mkv", frames, options=gop, times=[40 * index + (index % 3) * 10 for index in range(FRAMES)])
    if kind == "npy":
        np.save(folder / "a.npy", frames)
        return folder / "a.npy"
    if kind == "tif":
        first, *others = map(Image.fromarray, frames)
        first.save(folder / "a.tif", save_all=True, append_images=others)
        return folder / "a.tif"
    path = folder / "frames"
    path.mkdir()
    for index, each in enumerate(frames):
        Image.fromarray(each).save(path / f"shot_{index + 100}.png")
    return path


KINDS = ("h264", "open", "refresh", "hevc", "prores", "mkv", "vp9", "ts", "varying", "npy", "tif", "folder")


def same(part: Video, whole: Video, places: list[int]) -> None:
    assert part.names == tuple(whole.names[place] for place in places)
    assert part.timestamps == tuple(whole.timestamps[place] for place in places)
    assert torch.equal(part.volume, whole.volume[:, places])


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_has_the_frames_of_the_whole_video(
    kind: str, noise: np.ndarray, tmp_path: Path, encode: Callable[..., Path]
) -> None:
    path = written(kind, tmp_path, noise, encode)
    whole = read_video(path)
    assert len(whole.names) == FRAMES
    for start, end, every in ((33, 47, 1), (21, None, 4), (30, 31, 1), (0, 9, 2)):
        part = read_video(path, reading=Reading(start=str(start), end=None if end is None else str(end), every=str(every)))
        same(part, whole, list(range(start, end or FRAMES, every)))
    times = [float(time) for time in whole.timestamps]
    begin, end = times[32] - 0.001, times[50] - 0.001
    part = read_video(path, reading=Reading(start=f"{begin:.6f}s", end=f"{end:.6f}s", max_frames=10))
    same(part, whole, list(range(32, 42)))
    part = read_video(path, reading=Reading(start=f"{begin:.6f}s", end=f"{end:.6f}s"))
    same(part, whole, list(range(32, 50)))
    inline = read_video(path, reading=Reading(start="33", end="47", decoder="inline"))
    same(inline, whole, list(range(33, 47)))


SOUGHT = ("h264", "open", "hevc", "prores", "mkv", "vp9", "varying")


@pytest.mark.parametrize(("kind", "seeks"), [*((kind, True) for kind in SOUGHT), ("ts", False), ("refresh", False)])
def test_decoding_begins_with_a_key_frame_where_it_is_exact(
    kind: str, seeks: bool, noise: np.ndarray, tmp_path: Path, encode: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, decoded = written(kind, tmp_path, noise, encode), list[int]()
    numbered = file_module.numbered

    def seen(*arguments: object, **settings: object):
        if not settings["first"]:
            decoded.clear()
        for found in numbered(*arguments, **settings):
            decoded.append(found[0])
            yield found

    monkeypatch.setattr(file_module, "numbered", seen)
    read_video(path, reading=Reading(start="37", end="40", decoder="inline"))
    assert (20 < decoded[0] <= 37) if seeks else decoded[0] == 0


def test_a_damaged_frame_before_the_part_does_not_matter(
    noise: np.ndarray, tmp_path: Path, encode: Callable[..., Path], break_packet: Callable[[Path, int], None]
) -> None:
    path = encode(tmp_path / "a.mp4", noise, "mjpeg", "yuvj420p")
    whole = read_video(path)
    break_packet(path, 7)
    with pytest.raises(ValueError, match="frame 00007 of .* cannot be decoded"):
        read_video(path, reading=Reading(end="20"))
    same(read_video(path, reading=Reading(start="8", end="20")), whole, list(range(8, 20)))
    same(read_video(path, reading=Reading(start="2", every="2")), whole, list(range(2, FRAMES, 2)))
    lost = read_video(path, reading=Reading(start="5", end="20", on_error="skip"))
    assert lost.lost == ("00007",)
    same(lost, whole, [place for place in range(5, 20) if place != 7])


@pytest.mark.parametrize("damaged", [32, 37, 41])
def test_a_damaged_frame_on_the_way_or_in_the_part(
    damaged: int, noise: np.ndarray, tmp_path: Path, encode: Callable[..., Path], break_packet: Callable[[Path, int], None]
) -> None:
    """What is lost, and what it looks like, is as in the whole video."""
    path = written("h264", tmp_path, noise, encode)
    break_packet(path, damaged)
    whole = read_video(path, reading=Reading(on_error="skip"))
    for start in (37, 41):
        part = read_video(path, reading=Reading(start=str(start), end="46", on_error="skip"))
        same(part, whole, [place for place, name in enumerate(whole.names) if start <= int(name) < 46])
        assert part.lost == tuple(name for name in whole.lost if start <= int(name) < 46)


@pytest.mark.slow
def test_a_long_way_to_the_part(tmp_path: Path, encode: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than one frame may: the worker says that it goes on."""
    frames = np.random.default_rng(0).integers(0, 255, (5, 720, 960, 3), dtype=np.uint8)
    path = encode(tmp_path / "a.ts", frames, "mpeg2video", options={"qscale": "1", "flags": "+qscale"})
    monkeypatch.setattr(process, "SECONDS", 1)
    repeated = path.with_name("b.ts")
    repeated.write_bytes(path.read_bytes() * 64)
    assert read_video(repeated, height=36, reading=Reading(start="318"), threads=1).names == ("00318", "00319")


def test_every_so_many_seconds(noise: np.ndarray, tmp_path: Path, encode: Callable[..., Path]) -> None:
    path = encode(tmp_path / "a.mp4", noise, options={"g": "10"})
    part = read_video(path, reading=Reading(start="0.4s", every="0.5s"))
    assert part.names == ("00010", "00023", "00035", "00048")
    assert part.frame_rate == 2
    assert read_video(path, reading=Reading(every="5")).frame_rate == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("300", 300),
        ("12s", 12),
        ("1.5s", Fraction(3, 2)),
        ("1:30", 90),
        ("1:02:30.5", Fraction(7501, 2)),
        ("90:00", 5400),
    ],
)
def test_moments(text: str, expected: int | Fraction) -> None:
    found = moment("start", text)
    assert found == expected
    assert isinstance(found, int) == text.isdecimal()


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1:75", "1:2:3:4", "1:61:00", "12 min", "s", "1e3s", "nan"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="give a frame, such as 300, or a time, such as 12s, 1.5s, 1:30 or 1:02:30"):
        moment("start", text)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"start": "10", "end": "10"}, r"data\.end=10 is not after data\.start=10; give a later frame or time"),
        ({"start": "1:00", "end": "12s"}, r"data\.end=12s is not after data\.start=1:00"),
        ({"end": "0"}, r"data\.end=0 is not after data\.start=0"),
        ({"every": "0"}, r"data\.every is 0; give 2 for every second frame, or a time such as 0\.5s"),
    ],
)
def test_empty_parts_are_refused_before_a_video_is_read(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Reading(**settings)


@pytest.mark.parametrize("kind", ["h264", "ts", "npy", "tif", "folder"])
def test_parts_beyond_the_end(
    kind: str, noise: np.ndarray, tmp_path: Path, encode: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = written(kind, tmp_path, noise[:12], encode)
    for start in ("12", "60s"):
        with pytest.raises(
            ValueError, match=rf"data\.start={start} is beyond the end of .*, which has 12 frames, 0\.\d+ s: give an"
        ):
            read_video(path, reading=Reading(start=start))
    with pytest.raises(
        ValueError, match=r"no frame of .* lies between data\.start=0\.19s and data\.end=0\.195s: give a longer part"
    ):
        read_video(path, reading=Reading(start="0.19s", end="0.195s"))
    caplog.clear()
    assert read_video(path, reading=Reading(end="12")).volume.shape[1] == 12
    assert "beyond" not in caplog.text
    assert read_video(path, reading=Reading(start="2", end="13")).volume.shape[1] == 10
    assert "data.end=13 is beyond the end of" in caplog.text


def test_as_many_frames_as_are_counted() -> None:
    step = Fraction(1, 25)
    assert Part.of("10", "20", "3").count(100, step) == 4
    assert Part.of("10", None, None, most=7).count(100, step) == 7
    assert Part.of("1s", "2s", "0.5s").count(100, step) == 2
    assert Part.of("200", None, None).count(100, step) == 0
