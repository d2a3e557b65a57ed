"""COCO and YouTube-VIS JSON."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.labels.formats.documents import HEIGHT, WIDTH, area, coco, flat, painted, read, square, written


def test_classes_are_numbered_by_their_ids_and_the_smaller_lies_on_top(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = written(
        tmp_path / "a.json", coco(area(1, 3, square(2, 2, 3)), area(1, 1, square(1, 1, 6)), area(2, 3, square(0, 0, 2)))
    )
    found = read(path)
    assert found.frames == (1, 2)  # image 0 has no annotation: nobody says that it is empty
    assert np.array_equal(found.masks[0], painted((1, 1, 6, 1), (2, 2, 3, 2)))
    assert np.array_equal(found.masks[1], painted((0, 0, 2, 2)))
    assert found.names == {1: "dog", 2: "cat"}
    assert (
        "COCO JSON, 2 labelled frames; objects 1 dog, 2 cat; 1 of its images have no annotation and are not labels" in caplog.text
    )
    assert "9 pixels lie in several objects, the smaller counts: frame_000001.PNG" in caplog.text


def test_names_number_objects_and_tracks_are_objects(tmp_path: Path) -> None:
    shapes = [area(1, 1, square(1, 1, 3), track_id=7), area(1, 1, square(6, 1, 3), attributes={"track_id": 9})]
    path = written(tmp_path / "a.json", coco(*shapes))
    assert np.array_equal(read(path).masks[0], painted((1, 1, 3, 1), (6, 1, 3, 2)))
    assert read(path).names == {1: "dog 7", 2: "dog 9"}
    assert np.array_equal(read(path, objects="classes").masks[0], painted((1, 1, 3, 1), (6, 1, 3, 1)))
    assert np.array_equal(read(path, names={5: "dog 9", 2: "dog 7"}).masks[0], painted((1, 1, 3, 2), (6, 1, 3, 5)))
    with pytest.raises(ValueError, match=r"a\.json show 'dog 7', which data\.names lacks: add it"):
        read(path, names=["cat"])
    with pytest.raises(ValueError, match=r"follow no object from frame to frame: leave out data\.objects=instances"):
        read(written(tmp_path / "b.json", coco(area(1, 1, square(1, 1, 3)))), objects="instances")


def test_a_polygon_of_several_parts_is_their_union_and_fills_the_pixels_whose_middles_lie_within(tmp_path: Path) -> None:
    parts = {"segmentation": [flat(square(1, 1, 4)), flat(square(2, 2, 5)), [8.4, 0, 11, 0, 11, 1.4, 8.4, 1.4]]}
    path = written(tmp_path / "a.json", coco({"image": 0, "category": 1, "more": parts}))
    expected = painted((1, 1, 4, 1), (2, 2, 5, 1))
    expected[0, 8:11] = 1
    assert np.array_equal(read(path).masks[0], expected)


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ([10**9, 10**9], "its run lengths are not those of 120 pixels"),
        ([-5, 125], "its run lengths are not those of 120 pixels"),
        ([60, 59], "its run lengths are not those of 120 pixels"),
        ([60.0, 60.0], "its run lengths are not those of 120 pixels"),
        ("\u20ac", "its run lengths are no string of COCO"),
        ("P", "its run lengths are cut off"),
        ("oooooooooooooo0", "its run lengths are no string of COCO"),
        (None, "its mask has no counts"),
    ],
)
def test_run_lengths_that_promise_other_pixels(counts: object, problem: str, tmp_path: Path) -> None:
    mask = {"size": [HEIGHT, WIDTH], "counts": counts}
    path = written(tmp_path / "a.json", coco({"image": 1, "category": 1, "more": {"segmentation": mask}}))
    with pytest.raises(ValueError, match=problem):
        read(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"images": [', r"a\.json are not whole JSON"),
        ('{"images": [], "annotations": [], "categories": [{"id": NaN}]}', r"a\.json are not whole JSON \(NaN is not a number\)"),
        ("{" + '"a":[' * 3000, r"a\.json are not whole JSON"),
        ('{"what": 1}', r"a\.json are JSON of an unknown kind: COCO, YouTube-VIS, labelme, CVAT XML 1\.1 and YOLO"),
        (coco(area(7, 1, square(1, 1, 3))), r"a\.json annotate image 7, which they do not list: export it again"),
        (coco(area(1, 2, square(1, 1, 3))), r"annotation 1 of labels .*a\.json is of category 2, which they do not list"),
        (
            coco({"image": 1, "category": 1, "more": {"bbox": [1, 1, 3, 3]}}),
            r"1 annotations of labels .* have a box and no outline",
        ),
        (coco(area(1, 1, square(1, 1, 3)[:2])), r"annotation 1 .* cannot be read \(a polygon has less than three corners\)"),
        (coco({"image": 1, "category": 1, "more": {"segmentation": [[1, 1, "x", 2, 3, 3]]}}), r"\('x' is not a number\)"),
        (coco(area(1, 1, square(1, 1, 3)), categories=None), r"a\.json have no categories"),
        (coco(), r"no labelled frame: .*a\.json, COCO JSON, labels none of clip\.mp4"),
        (coco(area(12, 1, square(1, 1, 3)), images=13), r"frame_000012\.PNG is for a frame that does not exist: clip\.mp4 has"),
    ],
)
def test_faults(content: object, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        read(written(tmp_path / "a.json", content))


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    content = coco(area(1, 1, square(1, 1, 3)))
    content["images"][1]["width"] = 24
    with pytest.raises(
        ValueError, match=r"frame_000001\.PNG is 24 x 10 pixels, but its frame in clip\.mp4 is 12 x 10: label the"
    ):
        read(written(tmp_path / "a.json", content))


def test_youtube_vis_takes_the_video_of_that_name_and_null_says_that_an_object_is_not_there(tmp_path: Path) -> None:
    videos = [{"id": i, "file_names": [f"{name}/00000.jpg", f"{name}/00005.jpg"]} for i, name in ((1, "other"), (2, "clip"))]
    parts = [[[flat(square(1, 1, 3))], None], [[flat(square(5, 5, 3))], [flat(square(2, 2, 2))]]]
    annotations = [{"id": 4 + v, "video_id": v, "category_id": 1, "segmentations": parts[v - 1]} for v in (1, 2)]
    content = {"videos": videos, "annotations": annotations, "categories": [{"id": 1, "name": "dog"}]}
    found = read(written(tmp_path / "a.json", content))
    assert found.frames == (0, 5)
    assert np.array_equal(found.masks, [painted((5, 5, 3, 1)), painted((2, 2, 2, 1))])
    annotations[1]["segmentations"] = [None, None]
    assert not read(written(tmp_path / "a.json", content)).masks.any()
    for video in videos:
        video["name"] = f"video {video['id']}"
    with pytest.raises(ValueError, match=r"a\.json have 2 videos, and none of them is called clip: name the video as they do"):
        read(written(tmp_path / "a.json", content))
