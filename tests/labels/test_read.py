"""Labels as a volume, 255 where they are unknown, and as masks of a few pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.labels.conventions import Conventions
from revseg.labels.dataset import load_own
from revseg.labels.masks import read_mask, resize_mask, resize_sparse, write_mask
from revseg.labels.objects import Object, write_objects
from revseg.labels.palette import VOID
from revseg.labels.sample import Sample
from revseg.video.reading import Reading
from revseg.video.stack import write_pages

SHAPE = T, H, W = 5, 8, 10


@pytest.fixture
def video(tmp_path: Path) -> Path:
    np.save(tmp_path / "video.npy", np.random.default_rng(0).normal(size=(*SHAPE, 4)).astype(np.float32))
    return tmp_path / "video.npy"


def points(dtype: str = "int32") -> np.ndarray:
    """A few labelled voxels of frames 1 and 3, and all of frame 4."""
    labels = np.full(SHAPE, 255, dtype)
    labels[1, 2, 3], labels[1, 7, 9], labels[3, 0, 0], labels[4] = 1, 0, 2, 0
    return labels


def loaded(video: Path, masks: Path, **settings: object) -> Sample:
    return load_own(video, masks, "davis2017", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint32"])
def test_an_array_labels_the_frames_that_show_any_label(dtype: str, video: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", points(dtype))
    sample = loaded(video, tmp_path / "labels.npy")
    assert sample.labelled_frames == (1, 3, 4)
    assert np.array_equal(sample.masks.numpy(), points()[[1, 3, 4]])
    assert sample.labels.equal(sample.masks)
    assert sample.whole_frames == (4,)


def test_tiff_pages_are_numbers_whatever_their_kind(video: Path, tmp_path: Path) -> None:
    write_pages(tmp_path / "grey.tif", points().astype(np.uint8))
    first, *others = (Image.fromarray(page.astype(np.uint16)) for page in points())
    first.save(tmp_path / "deep.tif", save_all=True, append_images=others)
    palettes = [Image.fromarray(page.astype(np.uint8)) for page in points()]
    for page in palettes:
        page.putpalette([9, 9, 9] * 256)
    palettes[0].save(tmp_path / "palette.tif", save_all=True, append_images=palettes[1:])
    for name in ("grey", "deep", "palette"):
        sample = loaded(video, tmp_path / f"{name}.tif")
        assert np.array_equal(sample.masks.numpy(), points()[[1, 3, 4]]), name


def test_the_first_frames_of_a_longer_volume(video: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", points())
    assert loaded(video, tmp_path / "labels.npy", reading=Reading(max_frames=4)).labelled_frames == (1, 3)


def test_no_labelled_point_is_lost_at_a_smaller_height(video: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", points())
    labels = loaded(video, tmp_path / "labels.npy", height=H // 4).labels
    assert labels.shape == (3, 2, 2)
    assert labels[0].tolist() == [[1, VOID], [VOID, 0]]
    assert labels[1].tolist() == [[2, VOID], [VOID, VOID]]


def test_where_all_is_known_the_nearest_label_counts() -> None:
    mask = np.random.default_rng(0).integers(0, 4, (9, 14), dtype=np.uint8)
    for size in ((3, 5), (9, 14), (20, 30)):
        assert np.array_equal(resize_sparse(mask, *size), resize_mask(mask, *size))


def test_masks_of_a_few_pixels_in_png(video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One shows background and unknown alone: others show that values are ids. One that shows nothing labels nothing."""
    for frame in (1, 3, 4):
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.where(points()[frame] == 2, 255, points()[frame]).astype(np.uint8)).save(
            tmp_path / "masks" / f"{frame}.png"
        )
    Image.fromarray(np.where(points()[1] == 0, 0, 255).astype(np.uint8)).save(tmp_path / "masks" / "0.png")
    sample = loaded(video, tmp_path / "masks")
    assert sample.labelled_frames == (0, 1, 4)
    assert int((sample.masks[0] != VOID).sum()) == 1
    assert "3.png is void all over, and labels nothing" in caplog.text
    (tmp_path / "masks" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"0\.png holds only 0 and 255, which is void in encoding davis2017"):
        loaded(video, tmp_path / "masks")
    with pytest.raises(ValueError, match=r"holds only 0 and 255"):
        read_mask(tmp_path / "masks" / "0.png", "davis2017")


def test_a_volume_has_a_slice_for_frames_that_cannot_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(T):
        Image.new("RGB", (W, H)).save(tmp_path / "frames" / f"{index}.png")
    (tmp_path / "frames" / "2.png").write_bytes(b"broken")
    np.save(tmp_path / "labels.npy", points())
    sample = loaded(tmp_path / "frames", tmp_path / "labels.npy", reading=Reading(on_error="skip"))
    assert [sample.frame_names[frame] for frame in sample.labelled_frames] == ["1", "3", "4"]
    assert np.array_equal(sample.masks.numpy(), points()[[1, 3, 4]])


def replaced(value: float, dtype: str = "int32") -> np.ndarray:
    labels = points(dtype)
    labels[2, 0, 0] = value
    return labels


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (points()[:4], r"has shape \(4, 8, 10\), but .*video\.npy is \(T, H, W\) = \(5, 8, 10\): give a label for each"),
        (points()[:, :4], r"has shape \(5, 4, 10\), but"),
        (points()[..., None].repeat(2, -1), r"has shape \(5, 8, 10, 2\), but"),
        (replaced(-1), r"holds -1 in slice 2: labels are 0 to 254, and 255 is unknown"),
        (replaced(256), r"holds 256 in slice 2: labels are 0 to 254"),
        (replaced(1, "float32"), r"has values of type float32: save it as whole numbers"),
        (np.full(SHAPE, 255), r"is 255, unknown, throughout: label a few voxels of .*video\.npy"),
    ],
)
def test_bad_volumes(labels: np.ndarray, sentence: str, video: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(ValueError, match=rf"volume of labels .*labels\.npy {sentence}"):
        loaded(video, tmp_path / "labels.npy")


def test_a_volume_with_soft_edges(tmp_path: Path) -> None:
    np.save(tmp_path / "video.npy", np.zeros((2, 40, 60), np.uint8))
    rows, columns = np.mgrid[:40, :60]
    soft = np.clip(128 + 30 * (12 - np.hypot(rows - 20, columns - 30)), 0, 255).astype(np.uint8)
    np.save(tmp_path / "labels.npy", np.stack([soft, soft]))
    with pytest.raises(
        ValueError, match=r"slice 0 of volume of labels .*labels\.npy has soft edges, .*: set all values from 128 on to 1"
    ):
        loaded(tmp_path / "video.npy", tmp_path / "labels.npy")


def test_bad_settings(video: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", points())
    with pytest.raises(ValueError, match=r"data\.encoding=davis2016 is for PNG masks, .*labels\.npy is a volume of object ids"):
        load_own(video, tmp_path / "labels.npy", "davis2016")
    with pytest.raises(ValueError, match=r"missing\.npy does not exist"):
        loaded(video, tmp_path / "missing.npy")


def test_whole_frames_may_have_void_along_contours() -> None:
    masks = torch.zeros(3, 4, 4, dtype=torch.uint8)
    masks[0, :2], masks[1, :3], masks[2, 1:] = VOID, VOID, VOID
    sample = Sample("a", torch.zeros(1, 6, 4, 4, dtype=torch.uint8), masks, (0, 2, 5), (4, 4), Fraction(1), Path("a"))
    assert sample.whole_frames == (0,)
    assert sample.select([0, 5]).whole_frames == (0,)


def test_a_folder_of_ids_names_them_in_a_file_beside(video: Path, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "00001.png", points("uint8")[3])
    write_objects(tmp_path / "masks", [Object(2, "dog", "#000000"), Object(3, "", "#ffffff"), Object(7, "cat", "#ff0000")])
    sample = loaded(video, tmp_path / "masks")
    assert (sample.object_names, sample.objects_by_name) == ({2: "dog", 7: "cat"}, False)
    given = loaded(video, tmp_path / "masks", conventions=Conventions(names={2: "wolf"}))
    assert given.object_names == {2: "wolf", 7: "cat"}
    (tmp_path / "masks" / "objects.json").write_text("[{")
    with pytest.raises(ValueError, match=r"masks/objects\.json is not what revseg-label wrote"):
        loaded(video, tmp_path / "masks")
