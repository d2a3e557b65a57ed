"""data.window= from the command line: a network that sees a few frames at a time trains, segments all, and says what it is."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from revseg.cli.main import predict, train
from revseg.labels.masks import read_mask
from tests.little import FRAMES, arguments, write_video

pytestmark = pytest.mark.slow

WINDOW = 5


def run(main, name: str, *given: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *given])
        main()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a training on windows."""
    folder = tmp_path_factory.mktemp("window")
    write_video(folder)
    run(train, "revseg-train", *arguments(folder, folder / "run", "training.steps=60", f"data.window={WINDOW}", "placements=2"))
    return folder / "run"


def test_all_frames_are_segmented_and_it_says_what_the_network_saw(trained: Path) -> None:
    log = (trained / "train.log").read_text()
    assert f"data.window={WINDOW}: the network sees {WINDOW} of {FRAMES} frames at a time, not all at once" in log
    assert f"forecast for {WINDOW} frames" in log
    assert len(list((trained / "predictions" / "masks").glob("*.png"))) == FRAMES
    assert json.loads((trained / "predictions" / "prediction.json").read_text())["window"] == WINDOW
    assert json.loads((trained / "metrics.json").read_text())["J"] > 0.5


def test_a_prediction_sees_as_many_frames_as_the_training(trained: Path, tmp_path: Path) -> None:
    video, masks = trained.parent / "frames", tmp_path / "masks"
    labels = trained.parent / "masks"
    masks.mkdir()
    for name in ("00000.png", "00003.png", "00007.png"):  # as arguments() chooses them
        (masks / name).symlink_to(labels / name)
    given = [str(video), f"checkpoint={trained}", f"data.masks={masks}", "device=cpu", "output.formats=[masks,probabilities]"]
    found, probabilities = {}, {}
    for name, more in (("same", ()), ("whole", ("data.window=100",))):
        run(predict, "revseg-predict", *given, f"output={tmp_path / name}", *more)
        found[name] = np.stack([read_mask(path, "davis2017") for path in sorted((tmp_path / name / "masks").glob("*.png"))])
        probabilities[name] = np.load(tmp_path / name / "probabilities.npy")
    assert json.loads((tmp_path / "same" / "prediction.json").read_text())["window"] == WINDOW
    own = [read_mask(path, "davis2017") for path in sorted((trained / "predictions" / "masks").glob("*.png"))]
    # Those of the training know, too, how many labels the network has learned from: a few pixels may differ.
    assert (found["same"] != np.stack(own)).mean() < 0.02
    assert (probabilities["whole"] != probabilities["same"]).any()
