"""The ffmpeg command of the documentation and our decoder give the same frames with the same numbers."""

import re
import shlex
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from revseg.video.crop import Crop
from revseg.video.read import read_video
from tests.video.container_edits import add_clean_aperture

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "data" / "README.md", ROOT / "docs" / "tutorial.md"]


def recipe() -> list[str]:
    """Returns the words of the documented command, which all pages agree on."""
    found = {line.strip() for page in PAGES for line in re.findall(r"^ +ffmpeg .*frames/.*$", page.read_text(), re.M)}
    assert len(found) == 1
    return shlex.split(found.pop())[1:]


def by_ffmpeg(video: Path, folder: Path) -> dict[str, np.ndarray]:
    """Runs the command; returns pictures by the names of their files."""
    (folder / "frames").mkdir()
    words = [str(video) if word == "my.mp4" else word for word in recipe()]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *words], cwd=folder, check=True)
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in sorted((folder / "frames").iterdir())}


def joined(path: Path, frames: np.ndarray, encode: Callable) -> Path:
    part = encode(path.with_name("part.ts"), frames)
    path.write_bytes(2 * part.read_bytes())
    return path


def cropped(path: Path, frames: np.ndarray, encode: Callable) -> Path:
    encode(path, frames)
    add_clean_aperture(path, frames.shape[1:3], Crop(10, 4, right=6, bottom=12))
    return path


KINDS: dict[str, Callable[[Path, np.ndarray, Callable], Path]] = {
    "plain.mp4": lambda path, frames, encode: encode(path, frames, options={"bf": "2"}),
    "slow.mkv": lambda path, frames, encode: encode(path, frames, rate=Fraction(1, 10)),
    "varying.mkv": lambda path, frames, encode: encode(path, frames, times=[7, 40, 50, 200, 1000, 1001]),
    "turned.mp4": lambda path, frames, encode: encode(path, frames, rotation=90),
    "joined.ts": joined,
    "cropped.mp4": cropped,
    "hevc.mp4": lambda path, frames, encode: encode(path, frames, "libx265", options={"x265-params": "log-level=none"}),
    "vp9.webm": lambda path, frames, encode: encode(path, frames, "libvpx-vp9"),
    "mjpeg.avi": lambda path, frames, encode: encode(path, frames, "mjpeg", "yuvj420p"),
    "ffv1.mkv": lambda path, frames, encode: encode(path, frames, "ffv1", "gbrp10le"),
    "animation.gif": lambda path, frames, encode: encode(path, frames, "gif", "rgb8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frames(tmp_path: Path, pictures: Callable, encode: Callable, kind: str) -> None:
    video = KINDS[kind](tmp_path / kind, pictures(6), encode)
    theirs, ours = by_ffmpeg(video, tmp_path), read_video(video)
    assert tuple(theirs) == ours.names
    for index, picture in enumerate(theirs.values()):
        pixels = ours.volume[:, index].permute(1, 2, 0).numpy()
        assert pixels.shape == picture.shape
        assert np.abs(pixels.astype(int) - picture).mean() < 3  # versions of FFmpeg round colours in different ways


def test_the_stream_is_the_same(tmp_path: Path, pictures: Callable) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (height, width) in zip(streams, ((32, 48), (64, 96)), strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for stream in streams:
            for pixels in pictures(3, stream.height, stream.width):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            file.mux(stream.encode())
    assert {picture.shape[:2] for picture in by_ffmpeg(path, tmp_path).values()} == {read_video(path).native_size}
