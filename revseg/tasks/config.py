"""The settings of a task: which videos and labels, and what the network learns of evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from revseg.labels.conventions import Conventions, check_conventions
from revseg.video.decoder import check_decoder


@dataclass(frozen=True)
class DataConfig:
    """Which videos and labels, and at what size."""

    video: str | None = None
    """Your video: a file, or a folder of frames. Or a volume: a .npy file, a TIFF stack of any depth, or a folder of either."""
    masks: str | None = None
    """Its labels: a folder of masks, 00012.png labels frame 12; what COCO, YouTube-VIS, labelme, CVAT or YOLO wrote, also as zip;
    a matte in black and white; a .npy or TIFF file (T, H, W). 255 is unknown. They are recognised by their content."""
    truth: str | None = None
    """Labels that only tell how good it is, written like data.masks. Pixels that are trained on are left out of them."""
    axes: str | None = None
    """Order of the axes of a .npy volume: null: THW or THWC; CTHW: channels first. In a folder of .npy files without T."""
    scale: Any = None
    """Which values of a volume become 0 and 255: [low, high], or such a pair for each channel. null: percentiles 0.1 and 99.9
    of each channel; 8-bit values stay as they are."""
    root: str | None = None
    """Folder of a dataset laid out like DAVIS (JPEGImages, Annotations, ImageSets); see data/README.md."""
    sequence: str | None = None
    """The sequence of the dataset that is trained on (task one_video)."""
    year: int = 2016
    """Which lists in ImageSets: 2016 or 2017."""
    resolution: str = "480p"
    """Which folder in JPEGImages and Annotations."""
    training_split: str = "train"
    """List of the sequences that are trained on (task dataset)."""
    validation_split: str = "val"
    """List of the sequences that are evaluated on (task dataset)."""
    demo: bool = False
    """Make a film with known masks, and train on that."""
    encoding: str | None = None
    """How masks are written: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void); null: by year, own videos:
    davis2017."""
    colours: Any = None
    """Colours of masks: text such as "dog #ff0000, cat #00ff00", a file of such lines, or a list. null: where masks are RGB, all
    colours in them but black."""
    names: Any = None
    """Names of objects: [dog,cat] of 1, 2, ..., or {7: dog}. Where the labels have names, it says which number each gets."""
    objects: str | None = None
    """What is an object: classes, or instances, which a tool follows from frame to frame; null: instances where it does."""
    stroke_width: int = 5
    """Width in pixels of lines and points among the labels. Beside them all is unknown."""
    labelled_frames: int | None = None
    """How many labelled frames are trained on, evenly spaced; the others tell how good it is. null: all."""
    height: int | None = 96
    """Height of the frames that the network sees; null: that of the video. Masks come out at the video's own size in any case.
    Frames more than 8 times as wide as high are not enlarged so far."""
    max_frames: int | None = None
    """Only the first frames of each video; null: all."""
    on_error: str = "stop"
    """At a frame that cannot be decoded: stop, or skip it."""
    decoder: str = "process"
    """Where videos are decoded: process (one of its own, with limits, which a hostile file cannot leave) or inline."""

    def __post_init__(self) -> None:
        for name in ("labelled_frames", "height", "max_frames"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"data.{name} is {value}; give a positive number, or null")
        if self.on_error not in ("stop", "skip"):
            raise ValueError(f"data.on_error is {self.on_error}; choose stop or skip")
        check_decoder(self.decoder)
        check_scale(self.scale)
        check_conventions(names=self.names, objects=self.objects, stroke_width=self.stroke_width)

    @property
    def conventions(self) -> Conventions:
        """How labels are to be read."""
        return Conventions(
            self.encoding or "davis2017",
            colours=self.colours,
            names=self.names,
            objects=self.objects,
            stroke_width=self.stroke_width,
        )


def check_scale(scale: Any) -> None:
    """Raises ValueError where a scale is not [low, high], nor a list of such pairs."""
    if scale is None:
        return
    pairs = scale if isinstance(scale, (list, tuple)) and scale and isinstance(scale[0], (list, tuple)) else [scale]
    for pair in pairs:
        numbers = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(part, (int, float)) for part in pair)
        if not (numbers and -float("inf") < pair[0] < pair[1] < float("inf")):
            raise ValueError(f"data.scale has {pair}: give [low, high] with low < high, or such a pair for each channel")


@dataclass(frozen=True)
class GuidanceConfig:
    """How a network that sees evidence learns when to trust it."""

    returned: float = 0.7
    """Probability that a labelled frame shows, in place of its labels, what comes back of them from frames that have none: there
    the network learns to mend, and is told the truth."""
    shares: Any = (0.25, 0.5, 0.75)
    """How far off those frames are, as shares of the way to the next labelled frame."""
    shares_of_one: Any = (0.03, 0.08, 0.2)
    """The same where only one frame is labelled, as shares of the way to the end of the video."""
    blind: float = 0.1
    """Probability that a step shows no evidence at all, so that the network also predicts without."""
    pseudo_frames: int = 4
    """Frames without labels that are trained on in a step with what the evidence is sure of; 0: none."""
    more_of_one: int = 4
    """How many times as many where only one frame is labelled."""
    certain: float = 0.5
    """Probability times confidence, from 0 to 1, from which on the evidence is taken to be sure."""
    certain_of_one: float = 0.8
    """Probability from which on it is where only one frame is labelled."""

    def __post_init__(self) -> None:
        for name in ("returned", "blind", "certain", "certain_of_one"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"guidance.{name} is {getattr(self, name)}: give a number from 0 to 1")
        for name in ("shares", "shares_of_one"):
            values = getattr(self, name)
            if not isinstance(values, (list, tuple)) or not values or not all(0 < share <= 1 for share in values):
                raise ValueError(f"guidance.{name} is {values}: give a list of numbers above 0, up to 1")
        if self.pseudo_frames < 0:
            raise ValueError(f"guidance.pseudo_frames is {self.pseudo_frames}: give 0 or more")
        if self.more_of_one < 1:
            raise ValueError(f"guidance.more_of_one is {self.more_of_one}: give 1 or more")
