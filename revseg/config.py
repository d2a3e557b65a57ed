"""The settings of revseg-train: composed from the dataclasses that lie beside the code they are for."""

from __future__ import annotations

from dataclasses import dataclass, field

from revseg.evidence.smoothing import SWEEPS
from revseg.network.config import NetworkConfig
from revseg.tasks.guidance import GuidanceConfig
from revseg.tasks.source import DataConfig
from revseg.training.augment import AugmentConfig
from revseg.training.trainer import TrainingConfig


@dataclass(frozen=True)
class TrainConfig:
    task: str = "few_frames"
    """few_frames: one video, some frames labelled; davis: the videos of a dataset. The experiment sets it."""
    run_dir: str | None = None
    """Folder of the run; one that was begun is gone on with. null: a new one in runs/."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1, ..."""
    seed: int = 0
    """Of the initial weights, the order of the videos and the augmentation."""
    offsets: int = 1
    """Placements on the network's grid that the final predictions are averaged over."""
    smoothing: int = SWEEPS
    """Sweeps that make the final predictions of neighbouring frames agree along optical flow; 0: none."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)

    def __post_init__(self) -> None:
        if self.task not in ("few_frames", "davis"):
            raise ValueError(f"task is {self.task}; choose few_frames or davis")
        if self.smoothing < 0:
            raise ValueError(f"smoothing is {self.smoothing}; give 0 or more")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; give 0 or more")
