"""The settings of the entry points, composed from the dataclasses that lie beside the code they are for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from revseg.evidence.config import EvidenceConfig
from revseg.labels.conventions import Conventions, check_conventions
from revseg.network.config import NetworkConfig
from revseg.output.config import OutputConfig, PredictOutputConfig
from revseg.runs.verbosity import check_verbosity
from revseg.tasks.config import DataConfig, GuidanceConfig, check_scale
from revseg.training.config import AugmentConfig, TrainingConfig
from revseg.video.decoder import check_decoder

TASKS = ("one_video", "dataset")


@dataclass(frozen=True)
class TrainConfig:
    """The settings of revseg-train and revseg-plan."""

    run_dir: str | None = None
    """Folder of the run; a run that is there already is resumed, with its own settings. null: a new one in runs/."""
    from_run: str | None = None
    """Folder of a run on the same video, which is left as it is: begin with its settings, weights, optical flow and evidence, and
    train a further round on labels that were added or corrected (docs/howto/correct.md). from= is the same. null: none."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    seed: int = 0
    """Seed of the initial weights, the order of the videos and the augmentation."""
    placements: int = 4
    """Placements on the network's grid that the final predictions are averaged over."""
    verbosity: str = "normal"
    """What is printed: quiet (warnings), normal, or debug. The run's train.log has all of it in any case."""
    task: str = "one_video"
    """one_video: one video, some frames labelled; dataset: the videos of a dataset. The experiment sets it."""
    data: DataConfig = field(default_factory=DataConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task is {self.task}; choose one of {', '.join(TASKS)}")
        if self.from_run is not None and self.task == "dataset":
            raise ValueError(f"from_run is {self.from_run}, but a further round is for one video; leave it out for a dataset")
        if self.placements < 1:
            raise ValueError(f"placements is {self.placements}; give 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; give 0 or more")
        if self.network.evidence is None and self.evidence.source != "none":
            replace(self.network, evidence=True)  # refuses, before any video is read, what does not go with evidence
        check_verbosity(self.verbosity)


@dataclass(frozen=True)
class LabelConfig(TrainConfig):
    """The settings of revseg-label: those of revseg-train, and the page's."""

    port: int = 8642
    """Port of the page on 127.0.0.1; 0: any that is free."""
    browser: bool = True
    """Open the page in the browser of this machine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port is {self.port}; give 1 to 65535, or 0 for any that is free")
        if self.task != "one_video":
            raise ValueError(f"task is {self.task}; revseg-label is about one video")


@dataclass(frozen=True)
class PredictDataConfig:
    """Which video is segmented, and what is known of it."""

    video: str = "???"
    """The video or volume: a file, or a folder; may be given without data.video=."""
    masks: str | None = None
    """Labels of some of its frames, written in any way that the training takes; null: none are known."""
    axes: str | None = None
    """Order of the axes of a .npy volume: null: THW or THWC; CTHW: channels first. In a folder of .npy files without T."""
    scale: Any = None
    """Which values of a volume become 0 and 255, as in the training; null: the same as there."""
    encoding: str = "davis2017"
    """How masks are written: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void)."""
    colours: Any = None
    """Colours of masks: text such as "dog #ff0000, cat #00ff00", a file of such lines, or a list. null: where masks are RGB, all
    colours in them but black."""
    names: Any = None
    """Names of objects, as in the training; null: the same as there, where the labels have names."""
    objects: str | None = None
    """What is an object: classes, or instances, which a tool follows from frame to frame; null: instances where it does."""
    stroke_width: int = 5
    """Width in pixels of lines and points among the labels."""
    height: int | None = None
    """Height of the frames that the network sees; null: that of the training."""
    max_frames: int | None = None
    """Only the first frames; null: all."""
    on_error: str = "stop"
    """At a frame that cannot be decoded: stop, or skip it."""
    decoder: str = "process"
    """Where videos are decoded: process (one of its own, with limits, which a hostile file cannot leave) or inline."""

    def __post_init__(self) -> None:
        for name in ("height", "max_frames"):
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
            self.encoding,
            colours=self.colours,
            names=self.names,
            objects=self.objects,
            stroke_width=self.stroke_width,
        )


@dataclass(frozen=True)
class PredictConfig:
    """The settings of revseg-predict."""

    checkpoint: str | None = None
    """What to segment with: the folder of a run, or a checkpoint file; null: the newest run in runs/."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    placements: int | None = None
    """Placements on the network's grid that are averaged over; null: as many as the run's own masks were."""
    verbosity: str = "normal"
    """What is printed: quiet (warnings), normal, or debug."""
    data: PredictDataConfig = field(default_factory=PredictDataConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    """What is not given is as it was in the training."""
    output: PredictOutputConfig = field(default_factory=PredictOutputConfig)

    def __post_init__(self) -> None:
        if self.placements is not None and self.placements < 1:
            raise ValueError(f"placements is {self.placements}; give 1 or more, or null")
        check_verbosity(self.verbosity)


@dataclass(frozen=True)
class EvaluateConfig:
    """The settings of revseg-evaluate."""

    prediction: str = "???"
    """Folder of predicted masks: PNG files of one sequence, or a folder of them for each sequence."""
    annotation: str = "???"
    """Folder of true masks, laid out in the same way."""
    protocol: str = "semi-supervised"
    """semi-supervised leaves out the first and the last frame; unsupervised and all count every frame."""
    annotation_encoding: str = "davis2017"
    """How the annotation is written: davis2016 (0 and 255 = object) or davis2017 (object ids, 255 = void)."""
    prediction_encoding: str = "davis2017"
    """How the prediction is written; revseg-predict writes davis2017."""
    split: str | None = None
    """Text file with the names of the sequences that count, one a line; without it all those annotated."""
    output: str | None = None
    """Folder for evaluation.csv and evaluation.json; without it the prediction folder."""
    verbosity: str = "normal"
    """What is printed: quiet (warnings), normal, or debug."""

    def __post_init__(self) -> None:
        check_verbosity(self.verbosity)


@dataclass(frozen=True)
class RunsConfig:
    """The settings of revseg-runs."""

    folder: str = "runs"
    """Folder of the runs; may be given without folder=."""
    verbosity: str = "normal"
    """What is printed: quiet (warnings), normal, or debug."""

    def __post_init__(self) -> None:
        check_verbosity(self.verbosity)
