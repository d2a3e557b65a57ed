"""Files that the tools' own exporters wrote (tests/data/formats/make.py) give the masks that were drawn."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from revseg.labels.conventions import Conventions
from revseg.labels.frames import Frames
from revseg.labels.read import read_labels

DATA = Path(__file__).parents[2] / "data" / "formats"
ROOT = Path(__file__).parents[3]
_specification = importlib.util.spec_from_file_location("scene", DATA / "scene.py")
assert _specification is not None
assert _specification.loader is not None
scene = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(scene)

VIDEO = Frames(
    Path("scene.mp4"), tuple(f"{frame:05d}" for frame in range(scene.FRAMES)), (scene.HEIGHT, scene.WIDTH), total=scene.FRAMES
)

TOOLS = {
    "coco.json": ("coco", "COCO JSON", "polygons, run lengths, compressed and not"),
    "datumaro_coco.json": ("datumaro", "COCO JSON", "polygons, run lengths"),
    "youtube_vis.json": ("coco", "YouTube-VIS JSON", "compressed run lengths; the file as published"),
    "labelme": ("labelme", "labelme JSON", "polygons, masks"),
    "cvat_images.zip": ("cvat", "CVAT for images 1.1", "polygons, masks, in a zip archive"),
    "cvat_video.xml": ("cvat", "CVAT for video 1.1", "tracks of polygons and masks"),
    "yolo": ("yolo", "YOLO segmentation", "polygons along the middles of pixels"),
    "napari.tif": ("napari", "TIFF of numbers", "a labels layer"),
    "voc": ("datumaro", "masks by colour", "a palette with labelmap.txt, as CVAT's segmentation masks"),
}
"""File, whose version wrote it (versions.json), what it is told to be, and what it holds."""


@pytest.mark.parametrize("name", TOOLS)
def test_a_file_of_the_tool_gives_the_masks_that_were_drawn(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = read_labels(DATA / name, VIDEO, Conventions())
    hidden = (5,) if name == "youtube_vis.json" else ()  # null says that the object is not there
    assert found.frames == (*scene.LABELLED, *hidden)
    for mask, frame in zip(found.masks.numpy(), found.frames, strict=True):
        expected = np.zeros_like(mask) if frame in hidden else scene.truth(frame)
        if name == "labelme":  # by the alphabet: labelme has no order of classes
            assert np.array_equal(mask, np.array([0, 2, 1], np.uint8)[expected])
        else:
            assert np.array_equal(mask, expected)
    if name != "napari.tif":
        assert sorted(found.names.values()) == ["cat", "dog"]
        assert f"{TOOLS[name][1]}, {len(found.frames)} labelled frames; objects 1 " in caplog.text


def test_the_table_in_the_documentation_is_that_of_the_files() -> None:
    page = (ROOT / "docs" / "reference" / "labels.md").read_text(encoding="utf-8")
    versions = json.loads((DATA / "versions.json").read_text())
    for tool, title, holds in TOOLS.values():
        assert f"| {title} | {versions[tool]} | {holds} |" in page
