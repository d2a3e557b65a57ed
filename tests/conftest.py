"""Fixtures that several folders of tests share."""

import os
import shutil
import tempfile
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.browser_fixtures import chromium  # noqa: F401
from tests.video_fixtures import break_packet, encode, pictures  # noqa: F401

# Before torch loads OpenMP: where other programs share the cores, threads that spin at every small
# operation make the tests ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


CLIP = Path(__file__).parent / "data" / "clip"
"""A video as cameras make them, with a mask of every frame."""


@pytest.fixture(scope="session")
def clip_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip, mirrored and backwards too, in the layout of DAVIS 2016."""
    root = tmp_path_factory.mktemp("clip")
    frames = [frame.to_image() for frame in av.open(str(CLIP / "clip.mp4")).decode(video=0)]
    masks = [Image.open(path).point(lambda value: 255 * value, "L") for path in sorted((CLIP / "masks").iterdir())]
    views = {"barrel": slice(None), "backwards": slice(None, None, -1), "mirrored": slice(None)}
    for name, order in views.items():
        for kind, ending, images in (("JPEGImages", "jpg", frames), ("Annotations", "png", masks)):
            folder = root / kind / "480p" / name
            folder.mkdir(parents=True)
            for index, picture in enumerate(images[order]):
                turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if name == "mirrored" else picture
                turned.save(folder / f"{index:05d}.{ending}", **({"quality": 95} if ending == "jpg" else {}))
    lists = root / "ImageSets" / "2016"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("barrel\n")
    (lists / "val.txt").write_text("backwards\nmirrored\n")
    return root


def pytest_configure(config: pytest.Config) -> None:
    """Gives the tests a cache of their own: what their little runs measure of this machine is not for its user."""
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="revseg-cache-")


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs slow files first: processes that share the files out then end at about the same time. Leaves out the large ones."""
    if os.environ.get("REVSEG_LARGE") != "1":
        large = [item for item in items if item.get_closest_marker("large")]
        config.hook.pytest_deselected(items=large)
        items[:] = [item for item in items if item not in large]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
