"""The folder scripts lies on the path, as it does for a script that is run."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.little import write_video

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
if str(SCRIPTS) not in sys.path:
    sys.path.insert(0, str(SCRIPTS))

import harness  # noqa: E402, F401


@pytest.fixture(scope="session")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sequences in the layout of DAVIS 2016, one in each split, and of 2017, of two objects each."""
    root = tmp_path_factory.mktemp("data")
    for year, objects in ((2016, 1), (2017, 2)):
        folder = root / f"davis{year}"
        lists = folder / "ImageSets" / str(year)
        lists.mkdir(parents=True)
        for name, split in (("one", "train"), ("two", "val")):
            parts = zip(("JPEGImages", "Annotations"), write_video(folder / "made" / name, objects=objects), strict=True)
            for kind, made in parts:
                (folder / kind / "480p").mkdir(parents=True, exist_ok=True)
                made.rename(folder / kind / "480p" / name)
            (lists / f"{split}.txt").write_text(f"{name}\n")
    for path in (root / "davis2016" / "Annotations").rglob("*.png"):
        Image.fromarray((np.asarray(Image.open(path)) != 0).astype(np.uint8) * 255).save(path)
    return root
