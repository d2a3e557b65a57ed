"""Folders as data/README.md describes them, and every way in which they can be wrong."""

import itertools
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.labels.dataset import DavisDataset, classes_of, evenly_spaced, load_own, load_unlabelled, objects_in
from revseg.labels.masks import write_mask
from revseg.video.read import read_video
from revseg.video.reading import Reading


def labels(frame, height=64, width=96):
    """Object 1 left of a column that moves, object 2 in a corner, void between them."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, : 10 + frame] = 1
    mask[:, 10 + frame] = 255
    mask[-8:, -8:] = 2
    return mask


@pytest.fixture
def root(tmp_path, pictures):
    """A small DAVIS-2017 with the sequences bear, camel and dog."""
    root = tmp_path / "DAVIS"
    for name, frames in (("bear", 5), ("camel", 3), ("dog", 4)):
        folder = root / "JPEGImages" / "480p" / name
        folder.mkdir(parents=True)
        for index, pixels in enumerate(pictures(frames)):
            Image.fromarray(pixels).save(folder / f"{index:05d}.jpg")
            write_mask(root / "Annotations" / "480p" / name / f"{index:05d}.png", labels(index))
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("dog\nbear\n")
    (lists / "val.txt").write_text("camel\n\n")
    return root


@pytest.fixture
def own(tmp_path, pictures, encode):
    """(video, masks): 12 frames, of which 0, 4 and 11 are labelled."""
    video = encode(tmp_path / "my video, take=2 «ü».mp4", pictures(12), options={"g": "4"})
    for frame in (0, 4, 11):
        write_mask(tmp_path / "my masks" / f"{frame:05d}.png", labels(frame))
    return video, tmp_path / "my masks"


# DAVIS


def test_split(root):
    assert DavisDataset(root, "train", year=2017).names == ["dog", "bear"]
    assert DavisDataset(str(root), "val", year=2017).names == ["camel"]
    assert DavisDataset(root, year=2017).names == ["bear", "camel", "dog"]


def test_load(root):
    sample = DavisDataset(root, "val", year=2017).load("bear")
    assert (sample.name, sample.frames, sample.height, sample.width) == ("bear", 5, 64, 96)
    assert sample.labelled_frames == (0, 1, 2, 3, 4)
    assert sample.frame_names == ("00000", "00001", "00002", "00003", "00004")
    assert (sample.labels.numpy() == np.stack([labels(i) for i in range(5)])).all()
    assert sample.source == root / "JPEGImages" / "480p" / "bear"
    assert sample.frame_rate == 24
    assert classes_of(sample.labels) == 3


def test_load_small(root):
    sample = DavisDataset(root, "val", year=2017, reading=Reading(max_frames=2)).load("bear", height=32)
    assert sample.volume.shape == (3, 2, 32, 48)
    assert sample.labels.shape == (2, 32, 48)
    assert sample.native_size == (64, 96)
    assert set(sample.labels.unique().tolist()) <= {0, 1, 2, 255}
    assert (sample.masks.numpy() == np.stack([labels(i) for i in range(2)])).all()  # at the video's own size


@pytest.mark.parametrize(("height", "max_frames"), [(None, None), (32, 2), (33, 99)])
def test_size_is_that_which_would_be_loaded(root, height, max_frames):
    dataset = DavisDataset(root, year=2017, reading=Reading(max_frames=max_frames))
    loaded = dataset.load("bear", height=height)
    assert dataset.size("bear", height) == loaded.volume.shape[1:]


def test_classes_of_a_sequence(root):
    dataset = DavisDataset(root, year=2017)
    assert dataset.classes("bear") == 3
    for path in (root / "Annotations" / "480p" / "bear").iterdir():
        path.unlink()
    assert dataset.classes("bear") == 1


def test_folder_of_a_sequence(root):
    dataset = DavisDataset(root, "train", year=2017)
    assert dataset.folder_of("camel") == root / "JPEGImages" / "480p" / "camel"
    with pytest.raises(ValueError, match=r"sequence 'camle' is not in .*480p: did you mean 'camel'\?"):
        dataset.folder_of("camle")


def test_lists_of_davis_2016(root):
    """As published: in ImageSets/480p, a frame and its mask on each line."""
    (root / "ImageSets" / "480p").mkdir()
    lines = [f"/JPEGImages/480p/{n}/0000{i}.jpg /Annotations/480p/{n}/0000{i}.png" for n in ("dog", "bear") for i in (0, 1)]
    (root / "ImageSets" / "480p" / "train.txt").write_text("\n".join(lines))
    dataset = DavisDataset(root, "train", year=2016)
    assert dataset.names == ["dog", "bear"]
    assert dataset.encoding == "davis2016"


def test_lists_of_any_editor_and_names_with_spaces(root):
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p" / "dog").rename(root / kind / "480p" / "my dog 2")
    (root / "ImageSets" / "2017" / "train.txt").write_bytes(b"\xef\xbb\xbfmy dog 2 \r\nbear\r\n")
    dataset = DavisDataset(root, "train", year=2017)
    assert dataset.names == ["my dog 2", "bear"]
    assert dataset.load("my dog 2").frames == 4


@pytest.mark.parametrize("name", ["../../../outside", "bear/../bear", "..", ".hidden"])
def test_no_name_leads_out_of_the_dataset(root, name):
    shutil.copytree(root / "JPEGImages" / "480p" / "bear", root.parent / "outside")
    shutil.copytree(root / "JPEGImages" / "480p" / "bear", root / "JPEGImages" / "480p" / ".hidden")
    with pytest.raises(ValueError, match=r"is not in .*480p: choose one of bear, camel, dog|did you mean"):
        DavisDataset(root, year=2017).load(name)


def test_masks_of_a_dataset_in_upper_case_beside_hidden_files(root):
    folder = root / "Annotations" / "480p" / "bear"
    (folder / "00000.png").rename(folder / "00000.PNG")
    (folder / "._00000.png").write_bytes(b"\0\5\26\7")
    dataset = DavisDataset(root, year=2017)
    assert dataset.classes("bear") == 3
    assert dataset.load("bear").labelled_frames == (0, 1, 2, 3, 4)


def test_only_the_first_frame_annotated(root):
    for path in (root / "Annotations" / "480p" / "bear").glob("0000[1-4].png"):
        path.unlink()
    assert DavisDataset(root, year=2017).load("bear").labelled_frames == (0,)


@pytest.mark.parametrize("missing", [".", "JPEGImages", "Annotations/480p"])
def test_absent_root(root, missing):
    folder = root / missing
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=r"data folder .*DAVIS.* does not exist: download DAVIS.*data/README\.md"):
        DavisDataset(root, "train", year=2017)


def test_readme_shows_the_error(tmp_path):
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="does not exist") as error:
        DavisDataset("data/davis2016-that-is-absent")
    assert str(error.value).replace("-that-is-absent", "") in " ".join(readme.split())


def test_unknown_split(root):
    with pytest.raises(
        ValueError,
        match=r"list of sequences .*trian\.txt does not exist: choose one of ImageSets/2017/train\.txt, ",
    ):
        DavisDataset(root, "trian", year=2017)
    (root / "ImageSets" / "2017" / "val.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"list of sequences .*val\.txt is empty: write one name on each line"):
        DavisDataset(root, "val", year=2017)


def test_unknown_sequence(root):
    dataset = DavisDataset(root, year=2017)
    with pytest.raises(ValueError, match=r"sequence 'camle' is not in .*480p: did you mean 'camel'\?"):
        dataset.load("camle")
    with pytest.raises(ValueError, match=r"sequence 'x' is not in .*480p: choose one of bear, camel, dog"):
        dataset.load("x")


def test_contradicting_encoding(root):
    with pytest.raises(ValueError, match=r"mask .*bear/00000\.png holds the value \d+, but encoding davis2016"):
        DavisDataset(root, encoding="davis2016").load("bear")
    with pytest.raises(ValueError, match="mask encoding is 'davis': choose one of davis2016, davis2017"):
        DavisDataset(root, encoding="davis")


def test_real_sequences(clip_root):
    dataset = DavisDataset(clip_root, "val", reading=Reading(max_frames=15))
    assert dataset.names == ["backwards", "mirrored"]
    sample = dataset.load("mirrored", height=48)
    assert sample.volume.shape == (3, 15, 48, 85)
    assert sample.labelled_frames == tuple(range(15))
    assert sample.native_size == (144, 256)
    assert classes_of(sample.labels) == 2


# Your own


def test_own_video(own):
    video, masks = own
    sample = load_own(video, masks, "davis2017")
    assert torch.equal(sample.volume, read_video(video).volume)
    assert sample.labelled_frames == (0, 4, 11)
    assert (sample.labels.numpy() == np.stack([labels(i) for i in (0, 4, 11)])).all()
    assert (sample.name, sample.source, sample.frame_rate) == (video.stem, video, Fraction(25))


def test_masks_by_any_number_of_digits(own):
    video, masks = own
    (masks / "00004.png").rename(masks / "4.png")
    assert load_own(video, masks, "davis2017").labelled_frames == (0, 4, 11)
    shutil.copy(masks / "4.png", masks / "04.png")
    with pytest.raises(ValueError, match=r"4\.png and .*04\.png are masks of one frame: remove one"):
        load_own(video, masks, "davis2017")


def test_masks_named_like_those_of_other_tools(own, caplog):
    """CVAT, XMem++ and ffmpeg write frame_000004.png."""
    caplog.set_level("INFO")
    video, masks = own
    for path in list(masks.iterdir()):
        path.rename(masks / f"frame_{int(path.stem):06d}.png")
    sample = load_own(video, masks, "davis2017")
    assert sample.labelled_frames == (0, 4, 11)
    assert (sample.labels[1].numpy() == labels(4)).all()
    assert f"frame_000000.png labels frame 00000 of {video}, counted from 0" in caplog.text


def test_unpadded_frames_and_their_masks(tmp_path, pictures):
    (tmp_path / "frames").mkdir()
    for number, pixels in enumerate(pictures(12), 1):
        Image.fromarray(pixels).save(tmp_path / "frames" / f"frame_{number}.png")
    for number in (1, 2, 12):
        write_mask(tmp_path / "masks" / f"frame_{number}.png", labels(number))
    sample = load_own(tmp_path / "frames", tmp_path / "masks", "davis2017")
    assert sample.labelled_frames == (0, 1, 11)
    assert (sample.labels.numpy() == np.stack([labels(number) for number in (1, 2, 12)])).all()


def test_one_label_and_every_frame_labelled(own):
    video, masks = own
    for frame in range(12):
        write_mask(masks / f"{frame:05d}.png", labels(frame))
    assert load_own(video, masks, "davis2017").labelled_frames == tuple(range(12))
    for frame in range(12):
        if frame != 7:
            (masks / f"{frame:05d}.png").unlink()
    assert load_own(video, masks, "davis2017").labelled_frames == (7,)


def test_a_mask_that_is_void_all_over_labels_nothing(own, caplog):
    video, masks = own
    write_mask(masks / "00004.png", np.full((64, 96), 255, np.uint8))
    assert load_own(video, masks, "davis2017").labelled_frames == (0, 11)
    assert f"{masks}: 00004.png is void all over, and labels nothing" in caplog.text
    for frame in (0, 11):
        write_mask(masks / f"{frame:05d}.png", np.full((64, 96), 255, np.uint8))
    with pytest.raises(ValueError, match=r"the masks in .*my masks are 255, void, throughout: label some pixels of"):
        load_own(video, masks, "davis2017")


def test_masks_of_one_value_all_over_are_told(own, caplog):
    """As those are whose transparency was dropped."""
    video, masks = own
    for path in masks.iterdir():
        Image.new("L", (96, 64), 255).save(path)
    load_own(video, masks, "davis2016")
    assert f"the labels in {masks} show object 1 and nothing else: check data.encoding" in caplog.text


def test_ids_up_to_254_with_holes(own):
    video, masks = own
    mask = np.kron(np.array([[0, 7], [254, 255]], np.uint8), np.ones((32, 48), np.uint8))
    write_mask(masks / "00004.png", mask)
    sample = load_own(video, masks, "davis2017")
    assert (sample.masks[1].numpy() == mask).all()
    assert (objects_in(sample.masks), classes_of(sample.masks)) == ([1, 2, 7, 254], 255)


def test_masks_after_the_last_frame_read(own):
    assert load_own(*own, "davis2017", reading=Reading(max_frames=6)).labelled_frames == (0, 4)


def test_folder_whose_names_are_no_numbers(tmp_path, pictures):
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
    for name, pixels in zip("abc", pictures(3), strict=True):
        Image.fromarray(pixels).save(tmp_path / "frames" / f"view {name}.png")
    write_mask(tmp_path / "masks" / "view b.png", labels(0))
    assert load_own(tmp_path / "frames", tmp_path / "masks", "davis2017").labelled_frames == (1,)


def test_folder_that_does_not_begin_at_0(tmp_path, pictures):
    """A mask belongs to the frame of its name, not to the frame at its position."""
    (tmp_path / "frames").mkdir()
    for number, pixels in enumerate(pictures(3), 7):
        Image.fromarray(pixels).save(tmp_path / "frames" / f"{number:03d}.png")
    write_mask(tmp_path / "masks" / "00008.png", labels(0))
    assert load_own(tmp_path / "frames", tmp_path / "masks", "davis2017").labelled_frames == (1,)


def test_labels_stay_with_their_frames_after_a_broken_one(own, break_packet):
    video, masks = own
    break_packet(video, 3)
    write_mask(masks / "00003.png", labels(3))
    with pytest.raises(ValueError, match="frame 0000[1-3] of .* cannot be decoded"):
        load_own(video, masks, "davis2017")
    sample = load_own(video, masks, "davis2017", reading=Reading(on_error="skip"))
    assert "00003" not in sample.frame_names
    assert [sample.frame_names[frame] for frame in sample.labelled_frames][-2:] == ["00004", "00011"]
    assert (sample.labels[-1].numpy() == labels(11)).all()


def test_mask_of_another_size(own):
    video, masks = own
    write_mask(masks / "00004.png", labels(4, 32, 48))
    with pytest.raises(ValueError, match=r"00004\.png is 48 x 32 pixels, but its frame in .* is 96 x 64: save it at"):
        load_own(video, masks, "davis2017", height=32)


@pytest.mark.parametrize("name", ["00012.png", "overview.png"])
def test_mask_of_no_frame(own, name):
    video, masks = own
    shutil.copy(masks / "00000.png", masks / name)
    with pytest.raises(ValueError, match=rf"{name} is for a frame that does not exist: .* has frames 00000 to 00011"):
        load_own(video, masks, "davis2017")


def test_no_labelled_frame(own):
    video, masks = own
    for path in masks.iterdir():
        path.unlink()
    sentence = "no labelled frame: .*my masks has no PNG for any of the frames 00000 to 00011 of .*; save the mask"
    with pytest.raises(ValueError, match=sentence):
        load_own(video, masks, "davis2017")
    masks.rmdir()
    with pytest.raises(ValueError, match="folder of masks .*my masks does not exist: make it, with a PNG per labelled"):
        load_own(video, masks, "davis2017")


def test_bad_video(own):
    video, masks = own
    video.write_bytes(b"")
    with pytest.raises(ValueError, match=r"\.mp4 is empty: get a whole copy"):
        load_own(video, masks, "davis2017")


def test_video_without_labels(own):
    video, _ = own
    sample = load_unlabelled(video, height=32, reading=Reading(max_frames=6))
    assert sample.volume.shape == (3, 6, 32, 48)
    assert (sample.masks.shape, sample.labels.shape, sample.labelled_frames) == ((0, 64, 96), (0, 32, 48), ())
    assert (sample.name, sample.source, sample.frame_rate) == (video.stem, video, Fraction(25))
    assert sample.frame_names[-1] == "00005"


# Labels


@pytest.mark.parametrize(
    ("frames", "count", "expected"),
    [
        (40, 4, (0, 13, 26, 39)),
        (48, 4, (0, 16, 31, 47)),
        (5, 1, (0,)),
        (5, 2, (0, 4)),
        (3, 3, (0, 1, 2)),
        (1, 1, (0,)),
    ],
)
def test_evenly_spaced(frames, count, expected):
    assert evenly_spaced(frames, count) == expected


def test_evenly_spaced_are_distinct():
    for frames, count in itertools.product(range(1, 30), range(1, 30)):
        if count <= frames:
            assert len(set(evenly_spaced(frames, count))) == count


@pytest.mark.parametrize("count", [0, 6])
def test_more_labelled_frames_than_there_are(count):
    with pytest.raises(ValueError, match=rf"cannot take {count} of 5 labelled frames: set data\.labelled_frames to 1"):
        evenly_spaced(5, count)


def test_classes():
    assert classes_of(torch.tensor([[0, 3, 255]], dtype=torch.uint8)) == 4
    assert classes_of(torch.tensor([[255]], dtype=torch.uint8)) == 1


def test_objects():
    assert objects_in(torch.tensor([[[0, 3]], [[1, 255]]], dtype=torch.uint8)) == [1, 3]
    assert objects_in(torch.tensor([[[0, 255]]], dtype=torch.uint8)) == []
    assert objects_in(torch.empty(0, 4, 6, dtype=torch.uint8)) == []
