"""What one measurement runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from revseg.cli.settings import Settings
from revseg.config import TrainConfig

# Set by the benchmark for each case: not to be given as overrides.
RESERVED = {
    "task": "",
    "seed": "--seeds",
    "run_dir": "--output",
    "data.root": "--root",
    "data.year": "--year",
    "data.sequence": "--sequences",
    "data.labelled_frames": "--labelled",
    "data.height": "--height",
    "data.max_frames": "--max-frames",
    "training.steps": "--steps",
}


@dataclass(frozen=True)
class Case:
    sequence: str
    labelled: int
    """Number of labelled frames, evenly spaced, the first and last included (1: the first)."""
    method: str
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Of its result, in the output folder."""
        return Path(self.sequence, f"labelled{self.labelled}", self.method, f"seed{self.seed}")

    def __str__(self) -> str:
        return f"{self.sequence}, {self.labelled} labelled, {self.method}, seed {self.seed}"


@dataclass(frozen=True)
class Recipe:
    """What all cases share."""

    root: str
    year: int
    height: int | None
    max_frames: int | None
    steps: int | None
    """None: those of the experiment."""
    overrides: tuple[str, ...] = ()
    """For revseg-train; those of loss, schedule, augmentation and device go for the UNet as well."""
    keep_runs: bool = False

    def check(self) -> None:
        """Raises ValueError in one sentence if an override is unknown or decided by the benchmark."""
        for override in self.overrides:
            key = override.partition("=")[0]
            if key in RESERVED:
                raise ValueError(
                    f"{override}: the benchmark sets {key} itself" + (f"; use {RESERVED[key]}" if RESERVED[key] else "")
                )
        self.config(Case("any", 1, "revseg"), 2, Path("run"))

    def config(self, case: Case, classes: int, run_dir: Path) -> TrainConfig:
        """What revseg-train would be told. classes: unless an override says otherwise."""
        given = {
            "experiment": "few_frames",
            "data": f"davis{self.year}",
            "data.root": self.root,
            "data.sequence": case.sequence,
            "data.labelled_frames": case.labelled,
            "data.height": "null" if self.height is None else self.height,
            "data.max_frames": "null" if self.max_frames is None else self.max_frames,
            "network.classes": classes,
            "seed": case.seed,
            "run_dir": run_dir,
        }
        if self.steps is not None:
            given["training.steps"] = self.steps
        given |= dict(override.split("=", 1) for override in self.overrides if "=" in override)
        without_value = [override for override in self.overrides if "=" not in override]
        settings = Settings("train", TrainConfig)
        return settings.compose([settings.override(text) for text in [*(f"{k}={v}" for k, v in given.items()), *without_value]])

    def identity(self) -> dict[str, object]:
        """Two results in one folder must agree in this."""
        return {
            "year": self.year,
            "height": self.height,
            "max_frames": self.max_frames,
            "steps": self.steps,
            "overrides": sorted(self.overrides),
        }
