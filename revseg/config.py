"""The settings of the entry points, composed from the dataclasses that lie beside the code they are for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from revseg.evidence.config import EvidenceConfig
from revseg.network.config import NetworkConfig
from revseg.output.config import OutputConfig, PredictOutputConfig
from revseg.parallel.config import ParallelConfig
from revseg.runs.verbosity import check_verbosity
from revseg.tasks.config import DataConfig, GuidanceConfig, LabelledVideo
from revseg.training.config import AugmentConfig, TrainingConfig
from revseg.video.reading import Reading

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
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task is {self.task}; choose one of {', '.join(TASKS)}")
        if self.from_run is not None and self.task == "dataset":
            raise ValueError(f"from_run is {self.from_run}, but a further round is for one video; leave it out for a dataset")
        if self.data.videos is not None and self.task == "dataset":
            raise ValueError("data.videos names videos, and task=dataset takes those of data.root: leave one of both out")
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
        if self.task != "one_video" or self.data.videos is not None:
            raise ValueError("revseg-label is about one video: give data.video=, without data.videos= or another task=")


@dataclass(frozen=True)
class PredictDataConfig(Reading, LabelledVideo):
    """Which videos are segmented, and what is known of them."""

    def __post_init__(self) -> None:
        Reading.__post_init__(self)
        LabelledVideo.__post_init__(self)


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
        if self.data.video is None and self.data.videos is None:
            raise ValueError("data.video is not set; give data.video=my.mp4, or my.mp4 alone")
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
