"""Two objects in one real video: none is lost between the labels and the masks that come out."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revseg.cli.main import train as main
from revseg.evaluation import evaluate_folders
from revseg.labels.dataset import DavisDataset
from revseg.labels.masks import read_mask, write_mask
from revseg.labels.palette import PASCAL_PALETTE
from revseg.video.reading import Reading

pytestmark = pytest.mark.slow

HEIGHT, FRAMES, SHIFT = 24, 6, 12
FIRST, OTHER = 1, 2


def compose(root: Path, folder: Path) -> None:
    """The clip with the barrel of its mirror image pasted over it, SHIFT pixels to the left; frames and masks into `folder`.

    Ids as in DAVIS 2017: the barrel 1, the other 2 where it hides the first.
    """
    dataset = DavisDataset(root, reading=Reading(max_frames=FRAMES))
    scene, other = (dataset.load(name, height=HEIGHT) for name in ("barrel", "mirrored"))
    pasted = other.labels.roll(-SHIFT, dims=2) == 1
    volume = torch.where(pasted, other.volume.roll(-SHIFT, dims=3), scene.volume)
    labels = torch.where(pasted, OTHER, scene.labels)
    for index in range(FRAMES):
        path = folder / "frames" / f"{index:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(volume[:, index].permute(1, 2, 0).contiguous().numpy()).save(path)
        write_mask(folder / "masks" / f"{index:05d}.png", labels[index].to(torch.uint8).numpy())


@pytest.fixture(scope="module")
def composition(clip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("composition")
    compose(clip_root, folder)
    return folder


@pytest.fixture(scope="module")
def run_dir(composition: Path) -> Path:
    """Trained on three of the frames."""
    data = [f"data.video={composition / 'frames'}", f"data.masks={composition / 'masks'}", "data.labelled_frames=3"]
    network = ["network.channels=4", "network.levels=2", "network.depth=2", "network.rank=16"]
    more = ["device=cpu", "training.steps=80", "training.checkpoint_every=80", "data.height=null"]
    with pytest.MonkeyPatch.context() as patch:
        arguments = [*data, *network, *more, f"run_dir={composition / 'run'}"]
        patch.setattr(sys, "argv", ["revseg-train", *arguments])
        main()
    return composition / "run"


def ids(path: Path) -> set[int]:
    return set(np.unique(read_mask(path, "davis2017")).tolist())


def test_both_objects_come_out_of_every_frame(composition: Path, run_dir: Path) -> None:
    masks = sorted((run_dir / "predictions" / "masks").iterdir())
    assert [path.name for path in masks] == [f"{index:05d}.png" for index in range(FRAMES)]
    for path in masks:
        assert ids(composition / "masks" / path.name) == {0, FIRST, OTHER}
        assert ids(path) == {0, FIRST, OTHER}, path
        with Image.open(path) as image:
            assert (image.mode, image.getpalette()) == ("P", PASCAL_PALETTE.ravel().tolist())


def test_each_object_is_found_where_it_is(composition: Path, run_dir: Path) -> None:
    report = evaluate_folders(run_dir / "predictions" / "masks", composition / "masks", protocol="all")
    (objects,) = report.sequences.values()
    assert set(objects) == {FIRST, OTHER}
    for number, score in objects.items():
        assert score.J.mean > 0.35, number
        assert score.F.mean > 0.5, number


def test_metrics_are_means_over_both_objects(composition: Path, run_dir: Path) -> None:
    """What is reported of the frames that were not labelled is what the masks on the disk are worth."""
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["labelled_frames"] == [0, 2, 5]
    truth, found = composition / "masks", run_dir / "predictions" / "masks"
    of_each = [mean_j(truth, found, number) for number in (FIRST, OTHER)]
    assert metrics["J"] == pytest.approx(np.mean(of_each))


def mean_j(truth: Path, found: Path, number: int) -> float:
    """Of one object on the frames that were not labelled, by hand."""
    values = []
    for index in (1, 3, 4):
        one, other = (read_mask(folder / f"{index:05d}.png", "davis2017") == number for folder in (truth, found))
        values.append((one & other).sum() / (one | other).sum())
    return float(np.mean(values))
