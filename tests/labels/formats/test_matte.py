"""A video in black and white as the labels of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from revseg.labels.conventions import Conventions
from revseg.labels.dataset import load_own
from revseg.labels.frames import Frames
from revseg.labels.read import read_labels
from revseg.video.reading import Reading

H, W = 32, 48
VIDEO = Frames(Path("clip.mp4"), tuple(f"{frame:05d}" for frame in range(6)), (H, W), total=6)


def discs(frames: int = 6) -> np.ndarray:
    rows, columns = np.ogrid[:H, :W]
    return np.stack([(rows - 16) ** 2 + (columns - 12 - 4 * t) ** 2 < 80 for t in range(frames)])


def matte(frames: int = 6) -> np.ndarray:
    return np.repeat(discs(frames)[..., None] * np.uint8(255), 3, axis=-1)


@pytest.mark.parametrize(("codec", "options", "wrong"), [("ffv1", {}, 0), ("libx264", {"crf": "20"}, 0.01)])
def test_a_matte_labels_all_frames(codec: str, options: dict[str, str], wrong: float, tmp_path: Path, encode: Callable) -> None:
    pixels = "yuv444p" if codec == "ffv1" else "yuv420p"
    path = encode(tmp_path / "matte.mkv", matte(), codec=codec, pixel_format=pixels, options=options)
    found = read_labels(path, VIDEO, Conventions(names=["disc"]))
    assert found.frames == tuple(range(6))
    assert (found.masks.numpy() != discs()).mean() <= wrong
    assert found.names == {1: "disc"}


def test_frames_that_were_not_read_have_no_mask(tmp_path: Path, encode: Callable, pictures: Callable) -> None:
    path = encode(tmp_path / "matte.mkv", matte(), codec="ffv1", pixel_format="yuv444p")
    video = encode(tmp_path / "clip.mp4", pictures(6, H, W))
    assert len(load_own(video, path, "davis2017").masks) == 6
    cut = load_own(video, path, "davis2017", reading=Reading(max_frames=3))
    assert np.array_equal(cut.masks, discs(3))


def test_faults(tmp_path: Path, encode: Callable, pictures: Callable) -> None:
    short = encode(tmp_path / "short.mkv", matte(5), codec="ffv1", pixel_format="yuv444p")
    with pytest.raises(ValueError, match=r"short\.mkv has 5 frames, but clip\.mp4 has 6: give one of each frame"):
        read_labels(short, VIDEO, Conventions())
    large = encode(tmp_path / "large.mkv", pictures(6, 64, 96), codec="ffv1", pixel_format="yuv444p")
    with pytest.raises(ValueError, match=r"large\.mkv is 96 x 64 pixels, but clip\.mp4 is 48 x 32: save it at the size"):
        read_labels(large, VIDEO, Conventions())
    grey = np.full((6, H, W, 3), 110, np.uint8)
    path = encode(tmp_path / "grey.mkv", grey, codec="ffv1", pixel_format="yuv444p")
    with pytest.raises(ValueError, match=r"grey\.mkv is not black and white: give a matte"):
        read_labels(path, VIDEO, Conventions())
    grey[..., 0] = 250
    path = encode(tmp_path / "red.mkv", grey, codec="ffv1", pixel_format="yuv444p")
    with pytest.raises(ValueError, match=r"frame 0 of .*red\.mkv has colours: give a matte in black and white"):
        read_labels(path, VIDEO, Conventions())
    with pytest.raises(ValueError, match=r"data\.encoding=davis2016 is for PNG masks, .*short\.mkv is a matte: leave it out"):
        read_labels(short, VIDEO, Conventions(encoding="davis2016"))
    (tmp_path / "what.mp4").write_bytes(b"anything")
    with pytest.raises(ValueError, match=r"what\.mp4 is not a video"):
        read_labels(tmp_path / "what.mp4", VIDEO, Conventions())
