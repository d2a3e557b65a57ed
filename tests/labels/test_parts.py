"""Labels of a part of a video: by the frames' names and numbers in the whole video; those outside are told and not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from revseg.labels.dataset import load_own
from revseg.labels.masks import write_mask
from revseg.video.names import tell_once
from revseg.video.reading import Reading

H, W, FRAMES = 24, 36, 12


def mask_of(frame: int) -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[4 : 6 + frame, 5:9] = 1
    return mask


@pytest.fixture(params=["file", "folder", "npy"])
def video(request: pytest.FixtureRequest, tmp_path: Path, pictures: Callable, encode: Callable) -> tuple[Path, list[str]]:
    """A video of 12 frames, and their names."""
    frames, names = pictures(FRAMES, H, W), [f"{frame:05d}" for frame in range(FRAMES)]
    if request.param == "file":
        return encode(tmp_path / "a.mp4", frames), names
    if request.param == "npy":
        np.save(tmp_path / "a.npy", frames)
        return tmp_path / "a.npy", names
    from PIL import Image

    names = [f"shot_{frame + 100}" for frame in range(FRAMES)]
    (tmp_path / "frames").mkdir()
    for name, each in zip(names, frames, strict=True):
        Image.fromarray(each).save(tmp_path / "frames" / f"{name}.png")
    return tmp_path / "frames", names


@pytest.mark.parametrize(
    ("reading", "places"),
    [
        (Reading(start="3", end="9"), range(3, 9)),
        (Reading(every="2"), range(0, 12, 2)),
        (Reading(start="1", end="6"), range(1, 6)),
    ],
)
def test_masks_keep_their_frames(
    reading: Reading, places: range, video: tuple[Path, list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, names = video
    tell_once.cache_clear()
    for frame in (0, 4, 5, 11):
        write_mask(tmp_path / "masks" / f"{names[frame]}.png", mask_of(frame))
    sample = load_own(path, tmp_path / "masks", "davis2017", reading=reading)
    inside = [frame for frame in (0, 4, 5, 11) if frame in places]
    assert [places[position] for position in sample.labelled_frames] == inside
    assert [mask.tolist() for mask in sample.masks] == [mask_of(frame).tolist() for frame in inside]
    outside = [f"{names[frame]}.png" for frame in (0, 4, 5, 11) if frame not in places]
    told = f"{', '.join(outside)} {'is' if len(outside) == 1 else 'are'} not used: only the part of {path} from"
    assert told in caplog.text


@pytest.mark.parametrize("kind", ["volume", "matte"])
def test_labels_of_the_whole_video(kind: str, video: tuple[Path, list[str]], tmp_path: Path, encode: Callable) -> None:
    path, _ = video
    labels = np.stack([mask_of(frame) for frame in range(FRAMES)])
    given = tmp_path / "labels.npy"
    if kind == "volume":
        np.save(given, labels)
    else:
        white = np.repeat(labels[..., None] * 255, 3, axis=-1)
        given = encode(tmp_path / "matte.mkv", white, "ffv1", "bgr0")
    sample = load_own(path, given, "davis2017", reading=Reading(start="2", end="11", every="3"))
    assert np.array_equal(sample.masks, labels[2:11:3])
    assert sample.begins == sample.begins.__class__(2) / (24 if path.is_dir() else 25)


def test_a_mask_of_a_frame_that_the_video_has_not(video: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Where the end was not read, nobody knows: a file's frames are counted by decoding them."""
    path, names = video
    beyond = names[-1].replace("111", "112").replace("00011", "00012")
    for name in (names[4], beyond):
        write_mask(tmp_path / "masks" / f"{name}.png", mask_of(1))
    with pytest.raises(ValueError, match=rf"{beyond}\.png is for a frame that does not exist"):
        load_own(path, tmp_path / "masks", "davis2017", reading=Reading(start="2"))


def test_no_label_in_the_part(video: tuple[Path, list[str]], tmp_path: Path) -> None:
    path, names = video
    write_mask(tmp_path / "masks" / f"{names[1]}.png", mask_of(1))
    with pytest.raises(ValueError, match=rf"no labelled frame: .* has no PNG for any of the frames {names[5]} to {names[-1]}"):
        load_own(path, tmp_path / "masks", "davis2017", reading=Reading(start="5"))
