"""The videos and labels that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from revseg import storage
from revseg.demo.film import generate_demo
from revseg.labels.dataset import DavisDataset, frames_of, load_own, with_labels
from revseg.labels.palette import VOID
from revseg.labels.read import read_labels
from revseg.labels.sample import Sample
from revseg.tasks.config import DataConfig
from revseg.video.read import probe

Height = Callable[[int], int | None]
"""From a video's own height to that at which it is decoded."""


def open_split(config: DataConfig, split: str | None) -> DavisDataset:
    """Returns a list of the dataset; None: all its sequences."""
    if config.root is None:
        raise ValueError(
            "there are no data: give data.video=... data.masks=..., or data.root=... (data/README.md says "
            "how to get a dataset), or experiment=demo, which needs neither"
        )
    return DavisDataset(
        config.root, split, config.year, resolution=config.resolution, encoding=config.encoding, reading=config.reading
    )


def load_one(config: DataConfig, run_dir: Path, height: Height) -> Sample:
    """Returns the one video of task one_video with all the labels there are."""
    if config.demo:
        config = replace(config, video=str(demo_film(run_dir)), masks=str(run_dir / "data" / "masks"))
    if config.video is None:
        dataset = open_split(config, None)
        name = _sequence(config)
        native, _ = probe(dataset.folder_of(name), config.reading).native_size
        return dataset.load(name, height=height(native), show=True)
    if config.masks is None:
        raise ValueError(f"data.masks is not set; give the folder with the masks of some frames of {config.video}")
    native, _ = probe(config.video, config.reading).native_size
    return load_own(
        config.video,
        config.masks,
        config.encoding or "davis2017",
        height=height(native),
        reading=config.reading,
        conventions=config.conventions,
    )


def demo_film(run_dir: Path) -> Path:
    """Returns the film of the demo in the folder of a run; makes it where it is not there."""
    film = run_dir / "data" / "demo.mp4"
    if not film.exists():  # it appears when all of it, masks too, is written
        generate_demo(film.parent)
    return film


def load_truth(config: DataConfig, labelled: Sample) -> Sample | None:
    """Returns the video with the labels of data.truth, without the pixels that are trained on; None where it is not set."""
    if config.truth is None:
        return None
    truth = read_labels(Path(config.truth), frames_of(labelled), config.conventions)
    masks = truth.masks
    for mask, frame in zip(masks, truth.frames, strict=True):
        if frame in labelled.labelled_frames:
            mask[labelled.masks[labelled.labelled_frames.index(frame)] != VOID] = VOID
    left = [row for row, mask in enumerate(masks) if (mask != VOID).any()]
    if not left:
        raise ValueError(f"data.truth={config.truth} labels nothing but what is trained on; leave it out, or label more there")
    kept = {"masks": storage.rows_of(masks, left), "frames": tuple(truth.frames[row] for row in left)}
    return with_labels(labelled, truth._replace(**kept))  # type: ignore[arg-type]


def inputs_of(config: DataConfig) -> tuple[Path | None, Path | None]:
    """Returns the paths of the one video and of its labels, as far as they are there: the demo makes its own."""
    if config.demo or config.videos is not None or (config.video is None and (config.root is None or config.sequence is None)):
        return None, None
    video = path_of(config)
    if config.video is None:
        labels = open_split(config, None).annotations / _sequence(config)
        return video, labels if labels.is_dir() else None
    masks = Path(config.masks) if config.masks else None
    return video if video.exists() else None, masks if masks and masks.exists() else None


def path_of(config: DataConfig) -> Path:
    """Returns the path of the one video of task one_video."""
    if config.video is not None:
        return Path(config.video)
    return open_split(config, None).folder_of(_sequence(config))


def _sequence(config: DataConfig) -> str:
    if config.sequence is None:
        raise ValueError("data.sequence is not set; give the name of one of the dataset's sequences")
    return config.sequence
