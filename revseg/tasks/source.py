"""Where the videos and labels come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from revseg.labels.dataset import DavisDataset, load_own
from revseg.labels.sample import Sample
from revseg.tasks.demo import generate_demo


@dataclass(frozen=True)
class DataConfig:
    """Which videos and labels, and at what size."""

    root: str | None = None
    """Folder of a dataset laid out like DAVIS (JPEGImages, Annotations, ImageSets); see data/README.md."""
    year: int = 2016
    """Which lists in ImageSets: 2016 or 2017."""
    resolution: str = "480p"
    """Which folder in JPEGImages and Annotations."""
    training_split: str = "train"
    """List of the sequences that are trained on (task davis)."""
    validation_split: str = "val"
    """List of the sequences that are evaluated on (task davis)."""
    sequence: str | None = None
    """The sequence of the dataset that is trained on (task few_frames)."""
    video: str | None = None
    """Your video: a file, or a folder of frames (task few_frames)."""
    masks: str | None = None
    """Folder of its masks: 00012.png labels frame 12."""
    demo: bool = False
    """Make a video with known masks, and train on that (task few_frames)."""
    encoding: str | None = None
    """Of masks: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void); null: by year, own:
    davis2017."""
    labelled_frames: int | None = None
    """How many labelled frames are trained on, evenly spaced; the others tell how good it is. null: all."""
    height: int | None = 96
    """Height that the frames are resized to; null: none. Masks come out at the video's own size in any
    case."""
    max_frames: int | None = None
    """Only the first frames of each video; null: all."""
    on_error: str = "stop"
    """At a frame that cannot be decoded: stop, or skip it."""

    def __post_init__(self) -> None:
        for name in ("labelled_frames", "height", "max_frames"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"data.{name} is {value}; give a positive number, or null")


def open_split(config: DataConfig, split: str | None) -> DavisDataset:
    """A list of the dataset; None: all its sequences."""
    if config.root is None:
        raise ValueError(
            "there are no data: give data.video=... data.masks=..., or data.root=... (data/README.md says "
            "how to get a dataset), or experiment=demo, which needs neither"
        )
    return DavisDataset(config.root, split, config.year, config.resolution, config.encoding)


def load_one(config: DataConfig, run_dir: Path) -> Sample:
    """The one video of task few_frames with all the labels there are."""
    if config.demo:
        video, masks = run_dir / "data" / "demo.mp4", run_dir / "data" / "masks"
        if not video.exists():  # it appears when all of it, masks too, is written
            generate_demo(video.parent)
        return _load_own(video, masks, config)
    if config.video is not None:
        if config.masks is None:
            raise ValueError(f"data.masks is not set; give the folder with the masks of some frames of {config.video}")
        return _load_own(config.video, config.masks, config)
    dataset = open_split(config, None)
    return dataset.load(_sequence(config), height=config.height, max_frames=config.max_frames)


def path_of(config: DataConfig) -> Path:
    """Of the one video of task few_frames."""
    if config.video is not None:
        return Path(config.video)
    return open_split(config, None).frames / _sequence(config)


def _load_own(video: str | Path, masks: str | Path, config: DataConfig) -> Sample:
    encoding = config.encoding or "davis2017"
    return load_own(video, masks, encoding, config.height, config.max_frames, config.on_error)


def _sequence(config: DataConfig) -> str:
    if config.sequence is None:
        raise ValueError("data.sequence is not set; give the name of one of the dataset's sequences")
    return config.sequence
