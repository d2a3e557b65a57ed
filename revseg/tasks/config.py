"""The settings of a task: which videos and labels, and what the network learns of evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from revseg.labels.conventions import Conventions, check_conventions
from revseg.video.reading import Reading


@dataclass(frozen=True)
class LabelledVideo:
    """A video and its labels."""

    video: str | None = None
    """Your video: a file, or a folder of frames. Or a volume: a .npy file, a TIFF stack of any depth, or a folder of either."""
    videos: Any = None
    """Several videos or patterns, [a.mp4,clips/*.mp4], in place of one. Each is segmented into its own folder; a training learns
    from all of them together. data.masks is then a folder with the labels of each video by its name."""
    masks: str | None = None
    """Its labels: a folder of masks, 00012.png labels frame 12; what COCO, YouTube-VIS, labelme, CVAT or YOLO wrote, also as zip;
    a matte in black and white; a .npy or TIFF file (T, H, W). 255 is unknown. They are recognised by their content."""
    encoding: str | None = None
    """How masks are written: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void); null: by data.year, of own
    videos davis2017."""
    colours: Any = None
    """Colours of masks: text such as "dog #ff0000, cat #00ff00", a file of such lines, or a list. null: where masks are RGB, all
    colours in them but black."""
    names: Any = None
    """Names of objects: [dog,cat] of 1, 2, ..., or {7: dog}. Where the labels have names, it says which number each gets. null:
    those of the labels, or as in the training."""
    objects: str | None = None
    """What is an object: classes, or instances, which a tool follows from frame to frame; null: instances where it does."""
    stroke_width: int = 5
    """Width in pixels of lines and points among the labels. Beside them all is unknown."""
    height: int | None = None
    """Height of the frames that the network sees; null: that of the video, or as in the training. Masks come out at the video's
    own size in any case. Frames more than 8 times as wide as high are not enlarged so far."""
    window: int | None = None
    """How many frames the network sees at a time, the last resort where a whole video fits no memory: what lies further apart it
    cannot connect. Masks are averaged where windows overlap. null: all of the video at once, or as in the training."""

    def __post_init__(self) -> None:
        for name in ("height", "window"):
            if (given := getattr(self, name)) is not None and given <= 0:
                raise ValueError(f"data.{name} is {given}; give a positive number, or null")
        if isinstance(self.videos, str) or self.videos == [] or (self.videos is not None and self.video is not None):
            raise ValueError("data.videos is a list in place of data.video: give one of both, such as data.videos=[a.mp4,b.mp4]")
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


@dataclass(frozen=True)
class DataConfig(Reading, LabelledVideo):
    """Which videos and labels, and at what size."""

    height: int | None = 96
    truth: str | None = None
    """Labels that only tell how good it is, written like data.masks. Pixels that are trained on are left out of them."""
    labelled_frames: int | None = None
    """How many labelled frames are trained on, evenly spaced; the others tell how good it is. null: all."""
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

    def __post_init__(self) -> None:
        Reading.__post_init__(self)
        LabelledVideo.__post_init__(self)
        if self.labelled_frames is not None and self.labelled_frames <= 0:
            raise ValueError(f"data.labelled_frames is {self.labelled_frames}; give a positive number, or null")


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
