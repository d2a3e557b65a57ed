"""Every format is opened by another program than ours, and holds what was segmented."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.labels.masks import read_mask
from revseg.labels.read import read_labels
from revseg.output.config import FORMATS, OutputConfig
from revseg.output.folder import write_prediction
from revseg.output.formats import FILES
from revseg.output.legend import Legend
from revseg.output.source import Source
from revseg.segmentation.segmenter import Segmented
from tests.film_with_sound import heard, probed, shown, write_film

SIZE, COUNT = (64, 96), 12
NAMES = tuple(f"{frame:05d}" for frame in range(COUNT))
LEGEND = Legend((1, 7), {7: "cat"})
OBJECT, OTHER, GROUND = (230, 40, 30), (40, 60, 240), (90, 200, 80)


def mask_of(frame: int) -> np.ndarray:
    """Object 1 moves to the right; object 7 is there in the second half."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 4 * frame : 4 * frame + 20] = 1
    if frame >= COUNT // 2:
        mask[40:60, 60:90] = 7
    return mask


def picture_of(frame: int) -> np.ndarray:
    colours = np.zeros((8, 3), np.uint8)
    colours[[0, 1, 7]] = GROUND, OBJECT, OTHER
    return colours[mask_of(frame)]


def segmented() -> Iterator[Segmented]:
    for frame in range(COUNT):
        planes = np.stack([mask_of(frame) == number for number in (0, *LEGEND.ids)])
        yield Segmented(mask_of(frame), 0.9, (0.1 + 0.8 * planes).astype(np.float16))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = write_film(
        tmp_path_factory.mktemp("film") / "video.mp4", np.stack([picture_of(frame) for frame in range(COUNT)]), "aac"
    )
    return Source(path, Fraction(25), NAMES, sound=True)


@pytest.fixture(scope="module")
def out(film: Source) -> Path:
    """All formats, of each object too."""
    config = OutputConfig(formats=list(FORMATS), each_object=True, background="#0000ff")
    write_prediction(segmented(), film, film.path.parent / "out", legend=LEGEND, note={}, config=config)
    return film.path.parent / "out"


def away_from_edges(mask: np.ndarray) -> np.ndarray:
    """Pixels whose neighbours within three pixels are alike."""
    padded = np.pad(mask, 3, mode="edge")
    moved = [padded[row : row + SIZE[0], column : column + SIZE[1]] for row in range(7) for column in range(7)]
    return np.all([part == mask for part in moved], axis=0)


def check_alpha(alpha: np.ndarray, inside: np.ndarray, tolerance: int = 6) -> None:
    """255 within, 0 outside, and on the right side of the middle at the edges."""
    sure = away_from_edges(inside)
    assert np.abs(alpha[sure].astype(int) - 255 * inside[sure]).max() <= tolerance
    assert ((alpha > 127) == inside).mean() > 0.97


def test_nothing_else_is_written(out: Path) -> None:
    of_objects = {f"{stem}_{number}{suffix}" for number in LEGEND.ids for stem, suffix in
                  (("alpha", ""), ("alpha", ".mov"), ("alpha", ".webm"), ("matte", ".mp4"), ("cutout", ".mp4"))}  # fmt: skip
    written = {path.name for path in out.iterdir()}
    assert written == set(FILES.values()) | of_objects | {"prediction.json"}
    note = json.loads((out / "prediction.json").read_text())
    assert set(note["files"]) == written - {"prediction.json"}
    assert note["planes"] == ["background", "object 1", "cat"]


def test_alpha_images_open_with_pillow(out: Path) -> None:
    for frame, name in enumerate(NAMES):
        image = np.array(Image.open(out / "alpha" / f"{name}.png"))
        assert image.shape == (*SIZE, 4)
        assert ((image[..., 3] > 127) == (mask_of(frame) > 0)).all()
        check_alpha(image[..., 3], mask_of(frame) > 0)
        cat = np.array(Image.open(out / "alpha_7" / f"{name}.png"))[..., 3]
        assert ((cat > 127) == (mask_of(frame) == 7)).all()


@pytest.mark.parametrize(
    ("file", "codec", "pixels", "options"),
    [("alpha.mov", "prores", "yuva444p12le", ()), ("alpha.webm", "vp9", "yuv420p", ("-c:v", "libvpx-vp9"))],
)
def test_films_with_alpha_open_with_ffmpeg(out: Path, file: str, codec: str, pixels: str, options: tuple[str, ...]) -> None:
    found = probed(out / file)
    assert found["video"]["codec_name"] == codec
    assert found["video"]["pix_fmt"] == pixels
    assert Fraction(found["video"]["r_frame_rate"]) == 25
    assert len(heard(out / file)) > 0
    frames = shown(out / file, "rgba", SIZE, *options)
    assert len(frames) == COUNT
    for frame in range(COUNT):
        check_alpha(frames[frame, ..., 3], mask_of(frame) > 0, tolerance=12)
        inside = away_from_edges(mask_of(frame)) & (mask_of(frame) == 1)
        assert np.abs(frames[frame, ..., :3][inside].mean(0) - OBJECT).max() < 12


def test_the_matte_opens_with_ffmpeg(out: Path) -> None:
    frames = shown(out / "matte.mp4", "gray", SIZE)[..., 0]
    assert len(frames) == COUNT
    for frame in range(COUNT):
        check_alpha(frames[frame], mask_of(frame) > 0, tolerance=10)
    cat = shown(out / "matte_7.mp4", "gray", SIZE)[..., 0]
    assert cat[0].max() < 10
    check_alpha(cat[-1], mask_of(COUNT - 1) == 7, tolerance=10)
    assert set(probed(out / "matte.mp4")) == {"video"}


def test_the_cutout_opens_with_ffmpeg(out: Path) -> None:
    frames = shown(out / "cutout.mp4", "rgb24", SIZE)
    assert set(probed(out / "cutout.mp4")) == {"video", "audio"}
    for frame in range(COUNT):
        mask = mask_of(frame)
        sure = away_from_edges(mask)
        assert np.abs(frames[frame][sure & (mask == 0)].mean(0) - (0, 0, 255)).max() < 8
        assert np.abs(frames[frame][sure & (mask == 1)].mean(0) - OBJECT).max() < 8


def test_the_overlay_has_the_sound(out: Path, film: Source) -> None:
    assert np.array_equal(heard(out / "overlay.mp4")[2000:8000], heard(film.path)[2000:8000])
    assert probed(out / "overlay.mp4")["audio"]["codec_name"] == "aac"


def test_coco_opens_with_pycocotools(out: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed: pip install pycocotools")
    annotations = coco.COCO(str(out / "coco.json"))
    assert {each["name"] for each in annotations.cats.values()} == {"object 1", "cat"}
    assert len(annotations.imgs) == COUNT
    for frame, name in enumerate(NAMES):
        assert annotations.imgs[frame + 1]["file_name"] == f"{name}.png"
        found = np.zeros(SIZE, np.uint8)
        for each in annotations.imgToAnns[frame + 1]:
            region = annotations.annToMask(each) > 0
            found[region] = each["category_id"]
            rows, columns = np.nonzero(region)
            assert each["area"] == region.sum()
            assert each["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert np.array_equal(found, mask_of(frame))


def test_youtube_vis_opens_with_pycocotools(out: Path) -> None:
    tools = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed: pip install pycocotools")
    content = json.loads((out / "youtube_vis.json").read_text())
    assert content["videos"][0]["length"] == len(content["videos"][0]["file_names"]) == COUNT
    for annotation in content["annotations"]:
        for frame in range(COUNT):
            region, inside = annotation["segmentations"][frame], mask_of(frame) == annotation["category_id"]
            assert (region is None) == (not inside.any())
            assert region is None or np.array_equal(tools.decode(region) > 0, inside)
            assert (annotation["areas"][frame] or 0) == inside.sum()


@pytest.mark.parametrize("file", ["coco.json", "youtube_vis.json"])
def test_what_is_written_is_read_as_labels(out: Path, film: Source, file: str) -> None:
    from revseg.labels.conventions import Conventions
    from revseg.labels.frames import Frames

    masks, positions, names, _ = read_labels(out / file, Frames(film.path, NAMES, SIZE), Conventions("davis2017"))
    assert list(positions) == list(range(COUNT))
    assert set(names.values()) == {"object 1", "cat"}
    number = {0: 0, 1: next(key for key in names if names[key] == "object 1"), 7: next(k for k in names if names[k] == "cat")}
    for frame in positions:
        assert np.array_equal(np.asarray(masks[frame]), np.vectorize(number.get)(mask_of(frame)))


def test_probabilities_open_with_numpy(out: Path) -> None:
    array = np.load(out / "probabilities.npy", mmap_mode="r")
    assert (array.shape, array.dtype) == ((COUNT, 3, *SIZE), np.float16)
    for frame in range(COUNT):
        assert np.array_equal(np.array([0, 1, 7])[array[frame].argmax(0)], mask_of(frame))


def test_the_gif_opens_with_pillow(out: Path) -> None:
    with Image.open(out / "preview.gif") as image:
        assert (image.n_frames, image.size) == (COUNT, SIZE[::-1])


# What is asked for later


def test_what_is_no_longer_asked_for_goes(film: Source, tmp_path: Path) -> None:
    def write(*formats: str) -> set[str]:
        config = OutputConfig(formats=list(formats))
        write_prediction(segmented(), film, tmp_path / "out", legend=LEGEND, note={}, config=config)
        return {path.name for path in (tmp_path / "out").iterdir()} - {"prediction.json"}

    assert write("alpha", "coco", "gif") == {"masks", "alpha", "coco.json", "preview.gif"}
    (tmp_path / "out" / "alpha" / "mine.txt").write_text("a file of the user's")
    (tmp_path / "out" / "mine.json").write_text("{}")
    assert write("overlay") == {"masks", "overlay.mp4", "alpha", "mine.json"}
    assert [path.name for path in (tmp_path / "out" / "alpha").iterdir()] == ["mine.txt"]
    with pytest.raises(ValueError, match=r"out/alpha holds files that revseg did not write; choose another folder with output=$"):
        write("alpha")
    (tmp_path / "out" / "coco.json").write_text("{}")
    with pytest.raises(ValueError, match=r"coco\.json is a file that revseg did not write; choose another folder with output=$"):
        write("coco")


def test_masks_alone_need_no_second_decoding(film: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "pictures", lambda self: pytest.fail("the video is decoded"))
    for formats in (["masks"], ["coco", "youtube-vis", "probabilities"]):
        write_prediction(segmented(), film, tmp_path / "out", legend=LEGEND, note={}, config=OutputConfig(formats=formats))
    assert np.array_equal(read_mask(tmp_path / "out" / "masks" / "00003.png", "davis2017"), mask_of(3))


def test_looks_of_the_overlay(film: Source, tmp_path: Path) -> None:
    config = OutputConfig(colours="#0000ff", strength=1.0, contours=False)
    write_prediction(segmented(), film, tmp_path / "out", legend=LEGEND, note={}, config=config)
    frames = shown(tmp_path / "out" / "overlay.mp4", "rgb24", SIZE)
    inside = away_from_edges(mask_of(0)) & (mask_of(0) == 1)
    assert np.abs(frames[0][inside].mean(0) - (0, 0, 255)).max() < 8
    assert np.abs(frames[0][away_from_edges(mask_of(0)) & (mask_of(0) == 0)].mean(0) - GROUND).max() < 8


def test_sound_that_cannot_be_read_costs_the_sound_alone(film: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = film.path.with_name("broken.mp4")
    content = film.path.read_bytes()
    broken.write_bytes(content.replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    source = replace(film, path=broken)
    with caplog.at_level("INFO"):
        write_prediction(segmented(), source, tmp_path / "out", legend=LEGEND, note={}, config=OutputConfig())
    assert set(probed(tmp_path / "out" / "overlay.mp4")) == {"video"}
    assert f"overlay.mp4 is without the sound of {broken} (" in caplog.text
