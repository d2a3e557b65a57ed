"""Videos at the edge of what is one, through the whole of revseg-train with the recommended recipe."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.cli.main import train as main
from revseg.labels.masks import read_mask, write_mask
from revseg.video.read import read_video

pytestmark = pytest.mark.slow


def write_video(folder: Path, size: tuple[int, int], frames: int, labelled: tuple[int, ...], ids: tuple[int, ...]) -> None:
    """Objects in rows, each a part of its row, on noise."""
    random = np.random.default_rng(0)
    (folder / "frames").mkdir()
    height, width = size
    rows = height // len(ids)
    for frame in range(frames):
        picture, mask = random.integers(0, 60, (height, width, 3), dtype=np.uint8), np.zeros(size, np.uint8)
        for row, number in enumerate(ids):
            mask[row * rows : row * rows + max(1, rows // 2), width // 4 : width // 4 + max(1, width // 3)] = number
        picture[mask > 0] = (220, 160, 30)
        Image.fromarray(picture).save(folder / "frames" / f"{frame:05d}.png")
        if frame in labelled:
            write_mask(folder / "masks" / f"{frame:05d}.png", mask)


@pytest.mark.parametrize(
    ("size", "frames", "labelled", "ids"),
    [
        ((400, 4), 4, (0, 3), (1,)),
        ((4, 400), 4, (0, 3), (1,)),
        ((1, 1), 2, (0,), (1,)),
        ((48, 64), 1, (0,), (1,)),
        ((48, 64), 3, (0, 1, 2), (254, 7)),
    ],
    ids=["narrow", "flat", "one pixel", "one frame", "every frame labelled, ids with holes"],
)
def test_extremes(
    size: tuple[int, int],
    frames: int,
    labelled: tuple[int, ...],
    ids: tuple[int, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_video(tmp_path, size, frames, labelled, ids)
    data = [f"data.video={tmp_path / 'frames'}", f"data.masks={tmp_path / 'masks'}", "data.height=48"]
    run = ["training.steps=2", "placements=1", "evidence.flow.least_height=96", "device=cpu", f"run_dir={tmp_path / 'run'}"]
    monkeypatch.setattr(sys, "argv", ["revseg-train", *data, *run])
    main()
    written = tmp_path / "run" / "predictions"
    assert len(list((written / "masks").iterdir())) == frames
    for frame in labelled:
        name = f"masks/{frame:05d}.png"
        assert np.array_equal(read_mask(written / name, "davis2017"), read_mask(tmp_path / name, "davis2017"))
    assert set(np.unique([read_mask(path, "davis2017") for path in (written / "masks").iterdir()])) <= {0, *ids}
    assert read_video(written / "overlay.mp4").volume.shape == (3, frames, *size)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["labelled_frames"] == list(labelled)
