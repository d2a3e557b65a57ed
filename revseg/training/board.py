"""What is seen of a training while it runs: TensorBoard and the progress bar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from revseg.training.task import Evaluation

GIGABYTE = 1e9


@dataclass(frozen=True)
class StepReport:
    """One update of the weights."""

    loss: float
    J: float
    """Of all labelled pixels of the step together."""
    learning_rates: list[float]
    """Of the kernels, and of everything else."""
    gradient_norm: float
    state_range: float
    """Largest magnitude of the network's state; nan in floating point."""
    seconds: float
    frames: int
    peak_memory: int


class Board:
    """TensorBoard log and progress bar of one run."""

    def __init__(self, folder: Path, step: int, steps: int, config: str) -> None:
        # What a killed run logged beyond its last checkpoint is logged again.
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)
        self._writer.add_text("config", "    " + config.replace("\n", "\n    "), step)
        self._bar = tqdm(total=steps, initial=step, desc="training", unit="step", dynamic_ncols=True)

    def step(self, step: int, report: StepReport) -> None:
        scalars = {
            "training/loss": report.loss,
            "training/J": report.J,
            "training/learning_rate": report.learning_rates[1],
            "training/learning_rate_of_kernels": report.learning_rates[0],
            "training/gradient_norm": report.gradient_norm,
            "training/state_range": report.state_range,
            "speed/frames_per_second": report.frames / report.seconds,
            "speed/seconds_per_step": report.seconds,
            "memory/peak_GB": report.peak_memory / GIGABYTE,
        }
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._bar.set_postfix_str(
            f"loss {report.loss:.3f}, J {report.J:.3f}, {report.seconds:.2f} s/step, peak {report.peak_memory / GIGABYTE:.2f} GB",
            refresh=False,
        )
        self._bar.update(step - self._bar.n)

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        for name, value in evaluation.scalars.items():
            self._writer.add_scalar(name, value, step)
        for name, picture in evaluation.pictures.items():
            self._writer.add_image(name, picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._bar.close()
        self._writer.close()
