"""The folder of a segmented video: what lies in it, and what of other people is not overwritten."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from revseg.labels.dataset import load_unlabelled
from revseg.labels.masks import read_mask, write_mask
from revseg.output.config import OutputConfig
from revseg.output.folder import AHEAD, check, name_of, write_prediction
from revseg.output.legend import Legend
from revseg.output.source import Source
from revseg.segmentation.segmenter import Segmented
from revseg.video.read import read_video
from revseg.video.reading import Reading
from tests.harm import full_disk
from tests.runs.power_cut import PowerCut

NAMES = tuple(f"{frame:05d}" for frame in range(12))


def mask_of(frame: int) -> np.ndarray:
    mask = np.zeros((64, 96), np.uint8)
    mask[10:30, 4 * frame : 4 * frame + 20] = 1
    mask[40:, :30] = 2
    return mask


def segmented(frames: int = 12) -> Iterator[Segmented]:
    return (Segmented(mask_of(frame), frame / 20) for frame in range(frames))


def write(frames: Iterator[Segmented], source: Source, folder: Path, **more: Any) -> list[float]:
    """With the formats that were tested first, unless others are given."""
    given = {"note": {}, "config": OutputConfig(formats=["masks", "overlay", "gif"]), "legend": Legend((1, 2))}
    return write_prediction(frames, source, folder, **given | more)


@pytest.fixture
def source(tmp_path: Path, pictures: Callable, encode: Callable) -> Source:
    return Source(encode(tmp_path / "video.mp4", pictures(12)), Fraction(25), NAMES)


def test_what_is_written(tmp_path: Path, source: Source) -> None:
    folder = tmp_path / "out"
    written = write(segmented(), source, folder, labelled=(0, 4))
    assert written == [frame / 20 for frame in range(12)]
    assert sorted(path.name for path in folder.iterdir()) == ["masks", "overlay.mp4", "prediction.json", "preview.gif"]
    assert sorted(path.stem for path in (folder / "masks").iterdir()) == list(NAMES)
    for frame, name in enumerate(NAMES):
        assert np.array_equal(read_mask(folder / "masks" / f"{name}.png", "davis2017"), mask_of(frame))
    note = json.loads((folder / "prediction.json").read_text())
    assert (note["complete"], note["frames"], note["labelled_frames"]) == (True, 12, [0, 4])
    assert (note["expected_J"], note["video"]) == (written, str(source.path))


def test_the_overlay_is_the_video_with_its_masks(tmp_path: Path, source: Source) -> None:
    write(segmented(), source, tmp_path / "out")
    video, drawn = read_video(source.path), read_video(tmp_path / "out" / "overlay.mp4")
    assert drawn.volume.shape == video.volume.shape
    assert drawn.timestamps == video.timestamps
    difference = (drawn.volume.int() - video.volume.int()).abs().amax(0)
    for frame in range(12):
        assert difference[frame][mask_of(frame) == 1].float().mean() > 20
        assert difference[frame][:8, 32:].float().mean() < 6
    with Image.open(tmp_path / "out" / "preview.gif") as image:
        assert (image.n_frames, image.size) == (12, (96, 64))


def test_only_the_first_frames_of_a_longer_video(tmp_path: Path, source: Source) -> None:
    first = Source(source.path, source.frame_rate, NAMES[:5])
    write(segmented(5), first, tmp_path / "out")
    assert read_video(tmp_path / "out" / "overlay.mp4").volume.shape[1] == 5


def test_masks_of_a_longer_video_are_removed(tmp_path: Path, source: Source) -> None:
    write(segmented(), source, tmp_path / "out")
    write(segmented(5), Source(source.path, source.frame_rate, NAMES[:5]), tmp_path / "out")
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == list(NAMES[:5])


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_prediction_that_breaks_off_leaves_the_one_before(tmp_path: Path, source: Source) -> None:
    def broken() -> Iterator[Segmented]:
        yield from segmented(3)
        raise MemoryError

    with pytest.raises(MemoryError):
        write(broken(), source, tmp_path / "out")
    assert files_in(tmp_path / "out") == {}
    write(segmented(), source, tmp_path / "out")
    before = files_in(tmp_path / "out")
    with pytest.raises(MemoryError):
        write(broken(), source, tmp_path / "out")
    assert files_in(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("size", "file"), [(100, "masks/00000.png"), (2500, "overlay.mp4"), (40_000, "preview.gif"), (90_000, "prediction.json")]
)
def test_a_full_disk_leaves_the_prediction_before(size: int, file: str, tmp_path: Path, source: Source) -> None:
    source = replace(source, reading=Reading(decoder="inline"))  # shared memory, too, is a file for the limit below
    out = tmp_path / "out"
    write(segmented(), source, out)
    before = files_in(out)
    sentence = f"cannot write {out / '.new' / file}: File too large; free space there or choose another output folder"
    with full_disk(size), pytest.raises(OSError, match=f"^{re.escape(sentence)}$"):
        write(segmented(), source, out, note={"why": "x" * 100_000})
    assert files_in(out) == before


def test_a_power_cut_leaves_the_prediction_before_or_the_new_one(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment: what calls itself complete is."""
    out, seen = tmp_path / "out", set()
    write(segmented(), source, out, note={"version": 1})
    versions = {1: files_in(out)}

    def moment(left: dict[str, bytes]) -> None:
        note = json.loads(left["prediction.json"])
        seen.add((note["complete"], note.get("version")))
        if note == json.loads(versions[1]["prediction.json"]):
            assert {name: content for name, content in left.items() if not name.startswith(".new")} == versions[1]

    disk = PowerCut(monkeypatch, out, moment)
    other = (Segmented(1 - mask_of(frame).clip(max=1), 0.5) for frame in range(12))
    write(other, source, out, note={"version": 2})
    assert {name: content for name, content in disk.left().items() if not name.startswith(".new")} == files_in(out)
    assert files_in(out) != versions[1]
    assert seen == {(True, 1), (False, None), (True, 2)}


def test_masks_are_written_while_others_are_made(tmp_path: Path, source: Source) -> None:
    """A few of them wait at most, so that memory does not grow where writing is slower."""
    masks, waiting = tmp_path / "out" / ".new" / "masks", []

    def slowly() -> Iterator[Segmented]:
        for made, each in enumerate(segmented()):
            yield each
            waiting.append(made + 1 - len(list(masks.iterdir())))

    write(slowly(), source, tmp_path / "out")
    assert max(waiting) <= 1 + AHEAD


def test_a_video_that_became_shorter_meanwhile(tmp_path: Path, source: Source, pictures: Callable, encode: Callable) -> None:
    def cut() -> Iterator[Segmented]:
        encode(source.path, pictures(3))
        yield from segmented()

    with pytest.raises(
        ValueError, match=r"video\.mp4 has fewer frames than when it was read; start again, and leave it as it is$"
    ):
        write(cut(), source, tmp_path / "out")
    assert files_in(tmp_path / "out") == {}


def test_what_a_killed_process_left_goes(tmp_path: Path, source: Source) -> None:
    write_mask(tmp_path / "out" / ".new" / "masks" / "00099.png", mask_of(0))
    write(segmented(), source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "masks",
        "overlay.mp4",
        "prediction.json",
        "preview.gif",
    ]
    assert not (tmp_path / "out" / "masks" / "00099.png").exists()


def test_killed_while_files_are_moved_it_says_so(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    write(segmented(), source, tmp_path / "out")
    replace = os.replace

    def stopped(one: Path, other: Path) -> None:
        if Path(other).name == "00007.png" and ".new" not in str(other):
            raise KeyboardInterrupt
        replace(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            write(segmented(), source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["complete"] is False
    write(segmented(), source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["complete"] is True


# Another video


def test_another_video_of_the_same_name_is_refused(tmp_path: Path, source: Source, pictures: Callable, encode: Callable) -> None:
    write(segmented(), source, tmp_path / "out")
    before = files_in(tmp_path / "out")
    (tmp_path / "usb").mkdir()
    other = encode(tmp_path / "usb" / "video.mp4", pictures(12)[::-1])
    with pytest.raises(ValueError, match=rf"^{tmp_path}/out holds the masks of {source.path}, which is not {other} as it is now"):
        write(segmented(), replace(source, path=other), tmp_path / "out")
    assert files_in(tmp_path / "out") == before


def test_what_counts_is_what_is_in_a_video(tmp_path: Path, source: Source, pictures: Callable, encode: Callable) -> None:
    """The next card of a camera has a video of the same name in the same place; a video that was moved is the same."""
    write(segmented(), source, tmp_path / "out")
    moved = source.path.rename(tmp_path / "moved.mp4")
    check(tmp_path / "out", moved)
    encode(source.path, pictures(12)[::-1])
    with pytest.raises(ValueError, match=r"choose another folder with output=, or remove it$"):
        check(tmp_path / "out", source.path)


def test_predictions_that_do_not_say_what_is_in_their_video(tmp_path: Path, source: Source) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "prediction.json").write_text(json.dumps({"video": str(source.path)}))
    check(tmp_path / "out", source.path)
    with pytest.raises(ValueError, match=r"holds the masks of"):
        check(tmp_path / "out", tmp_path / "other" / "video.mp4")


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_note_of_somebody_else(text: str, tmp_path: Path, source: Source) -> None:
    (tmp_path / "prediction.json").write_text(text)
    with pytest.raises(ValueError, match=r"prediction\.json is not what revseg wrote; choose another folder with output=, or"):
        check(tmp_path, source.path)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.film.v2" / "frames").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "my.film.v2")
    typed = {
        ".": "my.film.v2",
        "frames/..": "my.film.v2",
        "..": tmp_path.name,
        "frames/": "frames",
        "a.b.mp4": "a.b",
        "/": "root",
    }
    assert {name: name_of(Path(name)) for name in typed} == typed
    assert name_of(tmp_path / "my.film.v2") == "my.film.v2"


def test_hand_made_labels_are_not_overwritten(tmp_path: Path, source: Source) -> None:
    write_mask(tmp_path / "masks" / "00000.png", mask_of(0))
    with pytest.raises(ValueError, match=r"masks holds files that revseg did not write; choose another folder with output="):
        check(tmp_path, source.path)


def test_the_video_itself_is_not_overwritten(tmp_path: Path, source: Source) -> None:
    video = source.path.rename(tmp_path / "overlay.mp4")
    with pytest.raises(ValueError, match=r"overlay\.mp4 lies where the prediction goes; choose another folder with output="):
        check(tmp_path, video)


def test_a_folder_that_cannot_be_made(tmp_path: Path, source: Source) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/out: Not a directory; choose another folder with output="):
        write(segmented(), source, tmp_path / "file" / "out")


@pytest.mark.parametrize("kind", ["npy", "tif", "folder of npy"])
def test_the_masks_of_a_volume_come_as_a_volume_too(kind: str, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(size=(12, 64, 96, 2)).astype(np.float32)
    path = tmp_path / f"volume.{kind}"
    if kind == "npy":
        np.save(path, volume)
    elif kind == "tif":
        first, *others = map(Image.fromarray, volume[..., 0])
        first.save(path, save_all=True, append_images=others)
    else:
        path.mkdir()
        for name, each in zip(NAMES, volume, strict=True):
            np.save(path / f"{name}.npy", each)
    volume_source = Source(path, Fraction(25), NAMES, reading=Reading(scale=((-3, 3),) * (1 if kind == "tif" else 2)))
    write(segmented(), volume_source, tmp_path / "out")
    ending = kind[-3:]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"masks", f"masks.{ending}", "overlay.mp4", "prediction.json", "preview.gif"}
    expected = np.stack([mask_of(frame) for frame in range(12)])
    if ending == "npy":
        masks = np.load(tmp_path / "out" / "masks.npy")
        assert masks.dtype == np.uint8
        assert np.array_equal(masks, expected)
    else:
        assert np.array_equal(imageio.imread(tmp_path / "out" / "masks.tif", plugin="pillow", index=...), expected)
    with pytest.raises(ValueError, match=r"lies where the prediction goes"):
        check(tmp_path / "out", tmp_path / "out" / f"masks.{ending}")


def test_a_volume_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "out" / "masks.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"masks\.npy is a file that revseg did not write; choose another folder with output="):
        check(tmp_path / "out", tmp_path / "video.npy")


def test_the_overlay_keeps_the_shape_of_pixels_and_its_times_beside_the_sound(tmp_path: Path, pictures: Callable) -> None:
    """One frame an hour, pixels twice as wide as high, a sound track."""
    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as file:
        video, sound = file.add_stream("libx264", rate=1, options={"bf": "0"}), file.add_stream("aac", rate=8000, layout="mono")
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        video.codec_context.sample_aspect_ratio, video.codec_context.time_base = Fraction(2), Fraction(1, 1000)
        for hour, pixels in enumerate(pictures(12)):
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24")
            picture.pts, picture.time_base = 3_600_000 * hour, Fraction(1, 1000)
            file.mux(video.encode(picture))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.rate, samples.pts = 8000, 0
        file.mux(sound.encode(samples))
        file.mux([*video.encode(), *sound.encode()])
    source = read_video(path)
    write(segmented(), Source.of(load_unlabelled(path)), tmp_path / "out")
    drawn = read_video(tmp_path / "out" / "overlay.mp4")
    assert drawn.sample_aspect_ratio == 2
    assert drawn.timestamps == source.timestamps == tuple(Fraction(3600 * hour) for hour in range(12))
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
