"""Masks by colour."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from revseg.labels.conventions import Conventions
from revseg.labels.frames import Frames
from revseg.labels.masks import write_mask
from revseg.labels.palette import PASCAL_PALETTE
from revseg.labels.read import Labelled, read_labels

VIDEO = Frames(Path("clip.mp4"), tuple(f"{frame:05d}" for frame in range(8)), (20, 30), total=8)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def picture(*areas: tuple[tuple[int, int, int], tuple[int, ...]], mode: str = "RGB") -> Image.Image:
    """Rectangles (corners, colour) on black, or on a transparent ground."""
    image = Image.new(mode, (30, 20))
    for (left, top, side), colour in areas:
        image.paste(colour, (left, top, left + side, top + side))
    return image


def expected(*areas: tuple[tuple[int, int, int], int]) -> np.ndarray:
    mask = np.zeros((20, 30), np.uint8)
    for (left, top, side), number in areas:
        mask[top : top + side, left : left + side] = number
    return mask


def read(folder: Path, **conventions: Any) -> Labelled:
    return read_labels(folder, VIDEO, Conventions(**conventions))


A, B = (2, 2, 6), (15, 5, 9)


def test_each_colour_is_an_object_in_the_order_of_the_colours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    picture((A, RED)).save(tmp_path / "00001.png")
    picture((A, (*RED, 255)), (B, (*BLUE, 255)), mode="RGBA").save(tmp_path / "00004.png")
    found = read(tmp_path)
    assert found.frames == (1, 4)
    assert np.array_equal(found.masks, [expected((A, 2)), expected((A, 2), (B, 1))])
    assert found.names == {1: "#0000ff", 2: "#ff0000"}
    assert "masks by colour, 2 labelled frames; objects 1 #0000ff, 2 #ff0000" in caplog.text
    assert read(tmp_path, names=["sea", "sun"]).names == {1: "sea", 2: "sun"}


def test_ids_among_colours_are_refused(tmp_path: Path) -> None:
    picture((A, RED)).save(tmp_path / "1.png")
    picture((A, (255, 255, 255))).convert("L").save(tmp_path / "2.png")
    assert read(tmp_path).frames == (1, 2)  # white is a colour
    Image.fromarray(expected((A, 1))).save(tmp_path / "3.png")
    with pytest.raises(ValueError, match=r"mask .*3\.png is of object ids, but others in its folder are of colours: save all"):
        read(tmp_path)


def test_colours_of_davis_are_its_objects(tmp_path: Path) -> None:
    colours = [tuple(PASCAL_PALETTE[number].tolist()) for number in (5, 2)]
    picture((A, colours[0]), (B, colours[1])).save(tmp_path / "00001.png")
    assert np.array_equal(read(tmp_path).masks[0], expected((A, 5), (B, 2)))


TABLES: list[Any] = [
    "dog #ff0000, cat #00f",
    "dog 255,0,0; cat 0,0,255",
    ["dog #ff0000", "cat #0000ff"],
    {"dog": "#ff0000", "cat": [0, 0, 255]},
    "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:255,0,0::\ncat:0,0,255::\n",
    "255 0 0 dog\n0 0 255 cat\n",
    "dog\t#ff0000\r\ncat = #0000ff\r\n",
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_says_which_colour_is_which_object(table: Any, tmp_path: Path) -> None:
    picture((A, RED), (B, BLUE)).save(tmp_path / "00001.png")
    if isinstance(table, str) and "\n" in table:
        (tmp_path / "colours.txt").write_text(table)
        table = str(tmp_path / "colours.txt")
    found = read(tmp_path, colours=table)
    assert np.array_equal(found.masks[0], expected((A, 1), (B, 2)))
    assert found.names == {1: "dog", 2: "cat"}
    assert np.array_equal(read(tmp_path, colours=table, names={1: "cat", 7: "dog"}).masks[0], expected((A, 7), (B, 1)))


def test_background_void_and_white_of_a_table(tmp_path: Path) -> None:
    picture(((0, 0, 30), WHITE), (A, RED), (B, BLUE)).save(tmp_path / "00001.png")
    mask = read(tmp_path, colours="background #ffffff, void #ff0000, sea #0000ff").masks[0]
    assert np.array_equal(mask, expected((A, 255), (B, 1)))


def test_palette_masks_by_their_colours(tmp_path: Path) -> None:
    """A tool that makes a palette for each file numbers colours as they come; a table tells what they are."""
    for name, order in (("00001", (RED, BLUE)), ("00004", (BLUE, RED))):
        image = Image.fromarray(expected((A, 1 + order.index(RED)), (B, 1 + order.index(BLUE))))
        image.putpalette([0, 0, 0, *order[0], *order[1]])
        image.save(tmp_path / f"{name}.png")
    found = read(tmp_path, colours="dog #ff0000, cat #0000ff")
    assert np.array_equal(found.masks, [expected((A, 1), (B, 2))] * 2)
    with pytest.raises(ValueError, match=r"00004\.png has the number 1 in another colour than .*00001\.png: set data\.colours"):
        read(tmp_path)


def smooth(path: Path) -> None:
    large = Image.new("RGB", (120, 80))
    ImageDraw.Draw(large).ellipse((20, 10, 90, 70), fill=RED)
    large.resize((30, 20), Image.Resampling.BOX).save(path)


def see_through(path: Path) -> None:
    image = picture((A, (*RED, 255)), (B, (*BLUE, 90)), mode="RGBA")
    image.save(path)


def photo(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize(
    ("write", "conventions", "problem"),
    [
        (smooth, {}, r"00001\.png has soft edges, with colours such as #.* between two others, as smooth brushes"),
        (see_through, {}, r"00001\.png has soft edges, with opacities such as 90 and 255"),
        (photo, {}, r"00001\.png has soft edges|has masks of more than 254 colours"),
        (None, {"colours": "dog #00ff00"}, r"00001\.png has the colour #ff0000, which data\.colours lacks: add it"),
        (
            None,
            {"colours": "no/such/file.txt"},
            r"data\.colours has 'no/such/file\.txt', no colour: give a file or text of lines",
        ),
        (None, {"colours": "1 255 0 0 dog"}, r"data\.colours has '1 255 0 0 dog', with too many numbers"),
        (None, {"colours": "dog #ff0000, cat #ff0000"}, r"data\.colours has #ff0000 or its name 'cat' twice"),
        (None, {"colours": "dog #ff0000", "names": ["cat"]}, r"data\.colours names 'dog', which data\.names lacks"),
        (None, {"colours": "dog #ff0000", "encoding": "davis2016"}, r"data\.colours does not go with data\.encoding=davis2016"),
        (None, {"encoding": "davis2016"}, r"00001\.png has colours, such as \(255, 0, 0\)"),
    ],
)
def test_faults(write: Any, conventions: dict[str, Any], problem: str, tmp_path: Path) -> None:
    (write or picture((A, RED)).save)(tmp_path / "00001.png")
    with pytest.raises(ValueError, match=problem):
        read(tmp_path, **conventions)


@pytest.mark.parametrize("root", ["DAVIS", "VOS"])
def test_the_folder_of_a_dataset(root: str, tmp_path: Path) -> None:
    places = {"DAVIS": "Annotations/480p", "VOS": "Annotations"}
    for name, number in (("clip", 1), ("other", 2)):
        write_mask(tmp_path / places[root] / name / "00003.png", expected((A, number)))
    if root == "VOS":
        objects = {"1": {"category": "dog", "frames": ["00003"]}}
        (tmp_path / "meta.json").write_text(json.dumps({"videos": {"clip": {"objects": objects}}}))
    found = read(tmp_path)
    assert np.array_equal(found.masks, [expected((A, 1))])
    assert found.names == ({1: "dog"} if root == "VOS" else {})
    write_mask(tmp_path / "Annotations" / "720p" / "clip" / "00003.png", expected((A, 1)))
    with pytest.raises(ValueError, match=r"masks of clip lie in .*clip and in .*clip: give one of them"):
        read(tmp_path)
