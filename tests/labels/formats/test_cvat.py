"""CVAT XML 1.1."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from revseg.labels.frames import Frames
from tests.labels.formats.documents import SIZE, VIDEO, cvat, painted, polygon, read, square, written

LABELS = "<labels><label><name>dog</name></label><label><name>cat</name></label></labels>"


def image(number: int, *shapes: str) -> str:
    return f'<image id="{number}" name="frame_{number:06d}" width="12" height="10">{"".join(shapes)}</image>'


def track(key: int, label: str, *shapes: str) -> str:
    return f'<track id="{key}" label="{label}" source="manual">{"".join(shapes)}</track>'


def at(frame: int, left: int, key: int = 1, outside: int = 0, **more: object) -> str:
    return polygon(square(left, 1, 2), frame=frame, keyframe=key, outside=outside, occluded=1, **more)


def test_images_by_z_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    mask = '<mask label="cat" rle="0, 4" left="8" top="7" width="2" height="2" z_order="0"></mask>'
    box = '<box label="dog" xtl="0" ytl="8" xbr="2" ybr="10" z_order="0"><attribute name="a">b</attribute></box>'
    body = image(0, '<tag label="dog"></tag>') + image(
        3, polygon(square(2, 2, 3), label="cat", z_order=1), polygon(square(1, 1, 6), label="dog", z_order=0), mask, box
    )
    found = read(written(tmp_path / "a.xml", cvat(body, LABELS)))
    assert found.frames == (3,)
    assert np.array_equal(found.masks[0], painted((1, 1, 6, 1), (2, 2, 3, 2), (8, 7, 2, 2), (0, 8, 2, 1)))
    assert found.names == {1: "dog", 2: "cat"}
    assert "CVAT for images 1.1, 1 labelled frame; objects 1 dog, 2 cat; 1 of its frames have no shape" in caplog.text
    assert "1 boxes are filled" in caplog.text


def test_of_tracks_only_frames_where_a_person_has_set_all_that_is_visible(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = track(0, "dog", at(0, 0), at(1, 1, key=0), at(2, 2), at(3, 3), at(4, 3, outside=1), at(5, 4))
    second = track(1, "dog", at(2, 8), at(3, 8, key=0), at(5, 8, outside=1))
    found = read(written(tmp_path / "a.xml", cvat(first + second, LABELS)))
    # 1 is interpolated, 3 of the second track as well; on 4 nobody has set the second; on 5 it is outside, which is known
    assert found.frames == (0, 2, 5)
    assert np.array_equal(found.masks, [painted((0, 1, 2, 1)), painted((2, 1, 2, 1), (8, 1, 2, 2)), painted((4, 1, 2, 1))])
    assert found.names == {1: "dog 0", 2: "dog 1"}
    assert "not labels, since a track has no keyframe there: frame 3" in caplog.text
    assert read(tmp_path / "a.xml", objects="classes").names == {1: "dog", 2: "cat"}


def test_shapes_of_no_track_are_written_as_tracks_of_one_frame(tmp_path: Path) -> None:
    """CVAT ends such a track with a shape outside on the next frame, which is no label of background."""
    tracks = [track(frame, "dog", at(frame, frame), at(frame + 1, frame, outside=1)) for frame in (1, 4)]
    found = read(written(tmp_path / "a.xml", cvat("".join(tracks))))
    assert found.frames == (1, 4)
    assert np.array_equal(found.masks, [painted((1, 1, 2, 1)), painted((4, 1, 2, 1))])
    assert found.names == {1: "dog"}


def test_the_number_of_a_frame_is_its_place_in_a_folder_of_frames(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for name in ("img_10", "img_20", "img_30"):
        (tmp_path / "frames" / f"{name}.png").touch()
    frames = Frames(tmp_path / "frames", ("img_10", "img_20", "img_30"), SIZE)
    assert read(written(tmp_path / "a.xml", cvat(track(0, "dog", at(1, 2)))), frames).frames == (1,)


def test_polylines_are_strokes(tmp_path: Path) -> None:
    line = '<polyline label="dog" points="1.00,5.00;9.00,5.00" z_order="0"></polyline>'
    mask = read(written(tmp_path / "a.xml", cvat(image(2, line))), stroke_width=2).masks[0].numpy()
    assert (mask[4:6, 2:9] == 1).all()
    assert set(np.unique(mask)) == {1, 255}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("<annotations><version>1.1</version>", r"a\.xml are not whole XML"),
        ("<html></html>", r"a\.xml are XML of an unknown kind, <html>"),
        (
            '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><annotations>&c;</annotations>',
            r"a\.xml declare a document type, which no tool writes into labels",
        ),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', r"a\.xml declare a document type"),
        (cvat("").replace("1.1", "1.0"), r"a\.xml are CVAT XML 1\.0, and 1\.1 is read"),
        (cvat(image(1, '<cuboid label="dog"></cuboid>')), r"a\.xml have a cuboid, which is no area"),
        (cvat(image(1, polygon(square(1, 1, 2)))), r"polygon on image frame_000001 of labels .* has no label"),
        (cvat(image(1, '<polygon label="dog" points="1,1;2"></polygon>')), r"cannot be read \(3 numbers are no points\)"),
        (cvat(image(1, '<polygon label="dog" points="1,1;inf,2;3,3"></polygon>')), r"'inf' is not a number"),
        (cvat(image(1, '<mask label="dog" rle="9" left="0" top="0" width="2" height="2"></mask>')), r"not those of 4 pixels"),
        (cvat(image(1, '<mask label="dog" rle="9" left="0" top="0" width="99999" height="99999"></mask>')), r"is 99999 x 99999"),
        (cvat(image(1)), r"no labelled frame: .*a\.xml, CVAT for images 1\.1, labels none of clip\.mp4"),
        (cvat(track(0, "dog", at(-1, 1))), r"track 0 of labels .* has a shape of frame '-1'"),
    ],
)
def test_faults(content: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        read(written(tmp_path / "a.xml", content))


def test_no_frame_of_which_all_is_known(tmp_path: Path) -> None:
    body = track(0, "dog", at(0, 1), at(4, 1)) + track(1, "cat", at(0, 5, key=0))
    with pytest.raises(ValueError, match=r"a\.xml have no frame with a keyframe of all its tracks: set keyframes of all on some"):
        read(written(tmp_path / "a.xml", cvat(body)), VIDEO)
