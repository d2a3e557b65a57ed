"""The videos and labels that the settings name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revseg.labels.masks import write_mask
from revseg.tasks import source
from revseg.tasks.config import DataConfig
from revseg.tasks.source import inputs_of, load_one, open_split, path_of
from tests.little import FRAMES, HEIGHT, WIDTH, write_video


def half(native: int) -> int:
    return native // 2


@pytest.fixture
def root(tmp_path: Path, pictures: Callable) -> Path:
    """A dataset with the sequences bear and dog; the latter has no annotation."""
    root = tmp_path / "DAVIS"
    for name in ("bear", "dog"):
        (root / "JPEGImages" / "480p" / name).mkdir(parents=True)
        for index, pixels in enumerate(pictures(4)):
            Image.fromarray(pixels).save(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg")
            if name == "bear":
                write_mask(root / "Annotations" / "480p" / name / f"{index:05d}.png", np.eye(64, 96, dtype=np.uint8))
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "train.txt").write_text("bear\n")
    return root


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    return write_video(tmp_path / "own")


def test_own_video(own: tuple[Path, Path], tmp_path: Path) -> None:
    config = DataConfig(video=str(own[0]), masks=str(own[1]), max_frames=5)
    sample = load_one(config, tmp_path / "run", half)
    assert sample.volume.shape == (3, 5, HEIGHT // 2, WIDTH // 2)
    assert sample.masks.shape == (5, HEIGHT, WIDTH)
    assert sample.labelled_frames == (0, 1, 2, 3, 4)
    assert path_of(config) == own[0]
    assert inputs_of(config) == own


def test_height_is_a_function_of_that_of_the_video(own: tuple[Path, Path], tmp_path: Path) -> None:
    asked = []

    def height(native: int) -> None:
        asked.append(native)

    sample = load_one(DataConfig(video=str(own[0]), masks=str(own[1])), tmp_path, height)
    assert asked == [HEIGHT]
    assert sample.volume.shape == (3, FRAMES, HEIGHT, WIDTH)


def test_a_sequence_of_a_dataset(root: Path, tmp_path: Path) -> None:
    config = DataConfig(root=str(root), year=2017, sequence="bear", max_frames=3)
    sample = load_one(config, tmp_path / "run", half)
    assert sample.volume.shape == (3, 3, 32, 48)
    assert sample.labelled_frames == (0, 1, 2)
    assert path_of(config) == root / "JPEGImages" / "480p" / "bear"
    assert inputs_of(config) == (path_of(config), root / "Annotations" / "480p" / "bear")
    assert inputs_of(DataConfig(root=str(root), sequence="dog"))[1] is None


def test_a_split(root: Path) -> None:
    config = DataConfig(root=str(root), year=2017)
    assert open_split(config, "train").names == ["bear"]
    assert open_split(config, None).names == ["bear", "dog"]
    assert open_split(config, None).encoding == "davis2017"


def test_the_demo_is_made_once(own: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of the run, where a resumed run finds it."""
    made = []

    def generate(folder: Path) -> None:
        made.append(folder)
        folder.mkdir(parents=True)
        own[0].rename(folder / "demo.mp4")  # frames of a folder do as well
        own[1].rename(folder / "masks")

    monkeypatch.setattr(source, "generate_demo", generate)
    for _ in range(2):
        sample = load_one(DataConfig(demo=True), tmp_path / "run", half)
        assert sample.volume.shape == (3, FRAMES, HEIGHT // 2, WIDTH // 2)
    assert made == [tmp_path / "run" / "data"]
    assert inputs_of(DataConfig(demo=True)) == (None, None)


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    assert inputs_of(DataConfig()) == (None, None)
    assert inputs_of(DataConfig(video=str(tmp_path / "a.mp4"), masks=str(tmp_path / "masks"))) == (None, None)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"there are no data: give data\.video=\.\.\. data\.masks=\.\.\., or data\.root=.*, or experiment=demo"),
        ({"video": "a.mp4"}, r"data\.masks is not set; give the folder with the masks of some frames of a\.mp4"),
    ],
)
def test_nothing_to_train_on(settings: dict, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_one(DataConfig(**settings), tmp_path, half)


def test_no_sequence(root: Path, tmp_path: Path) -> None:
    for function in (lambda config: load_one(config, tmp_path, half), path_of):
        with pytest.raises(ValueError, match=r"data\.sequence is not set; give the name of one of the dataset's sequences"):
            function(DataConfig(root=str(root), year=2017))
